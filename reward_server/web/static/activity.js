// What the server is doing: asks every few seconds while the page can be seen, and draws the answer.

import { call, Refusal } from "./api.js";
import { chart } from "./chart.js";
import { byId, el, show } from "./dom.js";

const EVERY_MS = 3000;
const PER_MINUTE = 6;
const MINUTES = 60;

/** Start asking; onLocked is called when the server wants a key. Returns a function that asks at once. */
export function watchActivity(onLocked) {
  let timer = 0;
  let asking = false;
  async function ask() {
    clearTimeout(timer);
    if (asking) return;
    asking = true;
    try {
      draw(await call("v1/activity"));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.status === 401) return onLocked();
      setState("down", error.message);
    } finally {
      asking = false;
    }
    if (!document.hidden) timer = setTimeout(ask, EVERY_MS);
  }
  document.addEventListener("visibilitychange", () => document.hidden || ask());
  ask();
  return ask;
}

/** One word or sentence at the top of the page; said aloud when it changes. */
export function setState(state, text) {
  const element = byId("state");
  if (element.textContent === text) return;
  element.dataset.state = state;
  show(element, text);
}

function draw({ series, totals, queue, requests_in_line: line, workers, judge, draining }) {
  setState(draining ? "draining" : "up", draining ? "shutting down" : "running");
  show(byId("judge"), judge.id);
  show(byId("tiles"), tiles(series, queue, line, totals));
  show(byId("charts"), charts(series));
  show(byId("workers"), workers > 1 ? `One of ${workers} worker processes: each counts for itself.` : "");
}

function tiles(series, queue, line, totals) {
  const hour = Object.fromEntries(Object.entries(series).map(([name, values]) => [name, sum(values)]));
  return [
    tile(number(sum(series.groups.slice(-PER_MINUTE))), "groups in the last minute", `${number(totals.groups)} since the start`),
    tile(
      number(queue),
      "waiting for the judge",
      line ? `and ${number(line)} requests in line` : `${number(Math.max(...series.queue))} at most in the last hour`,
    ),
    tile(percent(hour.all_negative, hour.groups), "all-negative groups", of(hour.all_negative, hour.groups)),
    tile(percent(hour.rescued, hour.all_negative), "of them rescued", of(hour.rescued, hour.all_negative)),
    tile(percent(hour.unscored, hour.responses), "unscored responses", of(hour.unscored, hour.responses)),
  ];
}

function tile(value, name, detail) {
  return el("li", { class: "tile" }, el("b", {}, value), el("span", {}, name), el("small", { class: "soft" }, detail));
}

function charts(series) {
  const rate = series.groups.map((value) => value / 10);
  const groups = byMinute(series.groups);
  const negative = byMinute(series.all_negative);
  const rescued = byMinute(series.rescued);
  const shares = [
    { name: "all-negative", style: "line", values: ratios(negative, groups) },
    { name: "of them rescued", style: "dashed", values: ratios(rescued, negative) },
  ];
  return [
    chart({
      title: "Groups per second",
      lines: [{ name: "groups per second", style: "area", values: rate }],
      slots: MINUTES * PER_MINUTE,
      top: nice(Math.max(...rate)),
      format: number,
      summary: `Groups per second over the last hour: at most ${number(Math.max(...rate))}, now ${number(rate.at(-1))}`,
    }),
    chart({
      title: "Waiting for the judge",
      lines: [{ name: "waiting", style: "area", values: series.queue }],
      slots: MINUTES * PER_MINUTE,
      top: nice(Math.max(...series.queue)),
      format: number,
      summary: `Responses waiting for the judge over the last hour: at most ${number(Math.max(...series.queue))}`,
    }),
    chart({
      title: "Shares",
      lines: shares,
      slots: MINUTES,
      top: 1,
      format: (value) => `${value * 100}%`,
      summary:
        "Shares over the last hour: " +
        `${percent(sum(negative), sum(groups))} of the groups all-negative, ` +
        `${percent(sum(rescued), sum(negative))} of those rescued`,
    }),
  ];
}

function byMinute(values) {
  const sums = [];
  for (let end = values.length; end > 0; end -= PER_MINUTE) sums.unshift(sum(values.slice(Math.max(0, end - PER_MINUTE), end)));
  return sums;
}

function ratios(parts, wholes) {
  return parts.map((part, index) => (wholes[index] ? part / wholes[index] : null));
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

function nice(most) {
  if (most <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((factor) => factor * power).find((top) => top >= most * 0.999);
}

function number(value) {
  return value.toLocaleString("en", { maximumSignificantDigits: value < 10 ? 2 : 21 });
}

function percent(part, whole) {
  return whole ? `${((100 * part) / whole).toFixed(part && part < whole ? 1 : 0)}%` : "–";
}

function of(part, whole) {
  return whole ? `${number(part)} of ${number(whole)} in the last hour` : "none in the last hour";
}
