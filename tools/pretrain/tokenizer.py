"""The word-level tokenizer of the embedded models: whole numbers and words are single tokens."""

from __future__ import annotations

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from trim.steps import INSTRUCTION, PRM_TAG

_WORDS = [
    "Start", "with", "add", "subtract", "multiply", "by", "reduce", "square", "it", "A", "jar", "holds", "coins",
    "gain", "collect", "receive", "lose", "spend", "give", "grow", "repeat", "pack", "share", "meet", "friends",
    "pass", "trees", "wait", "minutes"
]  # fmt: skip
_SIGNS = ["+", "-", "*", "%", "^", "="]
_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<unk>", PRM_TAG, INSTRUCTION]

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build() -> PreTrainedTokenizerFast:
    """A tokenizer whose encoding and decoding are exact inverses on the embedded problems' texts.

    The usual instruction is one token of its own, so that asking for step-by-step work costs
    the small models no context.
    """
    pieces = list(_SPECIAL)
    pieces += [p for n in range(100) for p in (str(n), f" {n}")]
    pieces += [f" {s}" for s in _SIGNS] + [p for w in _WORDS for p in (w, f" {w}")]
    pieces += [",", ".", "\n", "\n\n", " \\boxed{", "}", "system", "user", "assistant"]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(
        Regex(r"\n\n|\n| ?\\boxed\{| ?[0-9]+| ?[A-Za-z]+| ?[^\sA-Za-z0-9]|\s"), "isolated"
    )
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([p for p in _SPECIAL if p != "<unk>"])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<unk>",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
