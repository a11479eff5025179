"""Backends run models. Each is one file, found by its name.

It has
- `language_model(model, sampling, chat, spending)`, which returns a `trim.models.base.LanguageModel`,
- `reward_model(model, chat, spending)`, which returns a `trim.models.base.RewardModel`,
- `step_states(model, chat, solutions)`, which returns `trim.models.base.StepStates`, if it has the weights,
- `ANY_STEP`, True if it can write steps other than paragraphs.

`spending` is the folder of the ledger of a server's costs.
"""
