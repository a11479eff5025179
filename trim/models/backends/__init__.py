"""Backends: what runs a model. Each is one file, which is found by its name.

It has
- `language_model(model, sampling, chat, spending)`, which gives a `trim.models.base.LanguageModel`,
- `reward_model(model, chat, spending)`, which gives a `trim.models.base.RewardModel`,
- `step_states(model, chat, solutions)`, which gives `trim.models.base.StepStates`, if it has the weights,
- `ANY_STEP`, whether it writes steps that are no paragraphs.

`spending` is the folder in which the cost of a server is written down.
"""
