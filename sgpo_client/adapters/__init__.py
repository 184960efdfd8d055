"""SGPO rewards inside other RL trainers: one small file for each, on the torch-free client.

No module imports its trainer when it is imported itself. docs/integrations says which lines go where.

- `samples`: what a trainer hands over, as problem, response and reference answer
- `grouping`: which responses belong together
- `settings`: where the server is, how long to wait, what to do with a response that could not be judged
- `scoring`, `scores`: whole groups to ``/v1/rewards``, and what comes back
- `shared`, `ranks`: one request for several reward functions, and for groups cut over ranks
- `joined`: single responses, which the server joins into groups
- `messages`: failures in the words of the trainer's user
"""
