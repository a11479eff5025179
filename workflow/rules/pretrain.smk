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
    params:
        training=lambda w: config["pretrain"][w.model],
        shares=config["pretrain"]["shares"],
        seed=config["pretrain"]["seed"],
        out=lambda w: f"{OUT}/{w.model}",
    log:
        "logs/pretrain/{model}.log",
    benchmark:
        "benchmarks/pretrain/{model}.tsv"
    threads: 1
    shell:
        "trim pretrain lm --params {PARAMS} --model {wildcards.model} --out {params.out} > {log} 2>&1"


rule pretrain_prm:
    input:
        weak=f"{OUT}/weak/model.safetensors",
        strong=f"{OUT}/strong/model.safetensors",
        code=code("trim.stages.pretrain"),
    output:
        expand(f"{OUT}/prm/{{file}}", file=MODEL_FILES),
    params:
        training=config["pretrain"]["prm"],
        shares=config["pretrain"]["shares"],
        seed=config["pretrain"]["seed"],
        out=OUT,
    log:
        "logs/pretrain/prm.log",
    benchmark:
        "benchmarks/pretrain/prm.tsv"
    threads: 2
    shell:
        "trim pretrain prm --params {PARAMS} --weak {params.out}/weak --strong {params.out}/strong"
        " --out {params.out}/prm > {log} 2>&1"


rule pretrain_cards:
    input:
        expand(
            f"{OUT}/{{model}}/model.safetensors", model=["weak", "strong", "prm"]
        ),
        code=code("trim.stages.pretrain"),
    output:
        expand(f"{OUT}/{{model}}/README.md", model=["weak", "strong", "prm"]),
    params:
        probe=config["pretrain"]["probe"],
        out=OUT,
    log:
        "logs/pretrain/cards.log",
    benchmark:
        "benchmarks/pretrain/cards.tsv"
    threads: 2
    shell:
        "trim pretrain cards --params {PARAMS} {params.out} > {log} 2>&1"
