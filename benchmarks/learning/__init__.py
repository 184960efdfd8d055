"""The learning study: when does SGPO help? A small transformer on chains of arithmetic, a judge with dials."""
