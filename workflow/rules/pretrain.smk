OUT = config["pretrain"]["out"]
MODEL_FILES = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "model.safetensors",
]


rule pretrain:
    input:
        expand(f"{OUT}/{{model}}/README.md", model=["weak", "strong", "prm"]),


rule pretrain_lm:
    input:
        code=code("trim.stages.pretrain"),
    output:
        expand(f"{OUT}/{{{{model}}}}/{{file}}", file=MODEL_FILES),
    log:
        "logs/pretrain/{model}.log",
    benchmark:
        "benchmarks/pretrain/{model}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    params:
        experiment=PARAMS,
        training=lambda w: config["pretrain"][w.model],
        shares=config["pretrain"]["shares"],
        seed=config["pretrain"]["seed"],
        out=lambda w, output: Path(output[0]).parent,
    shell:
        "trim pretrain lm --params {params.experiment} --model {wildcards.model} --out {params.out} > {log} 2>&1"


rule pretrain_prm:
    input:
        weak=f"{OUT}/weak/model.safetensors",
        strong=f"{OUT}/strong/model.safetensors",
        code=code("trim.stages.pretrain"),
    output:
        expand(f"{OUT}/prm/{{file}}", file=MODEL_FILES),
    log:
        "logs/pretrain/prm.log",
    benchmark:
        "benchmarks/pretrain/prm.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 2
    params:
        experiment=PARAMS,
        training=config["pretrain"]["prm"],
        shares=config["pretrain"]["shares"],
        seed=config["pretrain"]["seed"],
        weak=lambda w, input: Path(input.weak).parent,
        strong=lambda w, input: Path(input.strong).parent,
        out=lambda w, output: Path(output[0]).parent,
    shell:
        "trim pretrain prm --params {params.experiment} --weak {params.weak} --strong {params.strong}"
        " --out {params.out} > {log} 2>&1"


rule pretrain_cards:
    input:
        expand(f"{OUT}/{{model}}/model.safetensors", model=["weak", "strong", "prm"]),
        code=code("trim.stages.pretrain"),
    output:
        expand(f"{OUT}/{{model}}/README.md", model=["weak", "strong", "prm"]),
    log:
        "logs/pretrain/cards.log",
    benchmark:
        "benchmarks/pretrain/cards.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 2
    params:
        experiment=PARAMS,
        probe=config["pretrain"]["probe"],
        out=lambda w, output: Path(output[0]).parent.parent,
    shell:
        "trim pretrain cards --params {params.experiment} {params.out} > {log} 2>&1"
