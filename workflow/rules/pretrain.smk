OUT = SECTIONS["pretrain"]["out"]


rule pretrain:
    input:
        expand(f"{OUT}/{{model}}/README.md", model=["weak", "strong", "prm"]),


rule pretrain_lm:
    output:
        expand(f"{OUT}/{{{{model}}}}/{{file}}", file=MODEL_FILES),
    log:
        "logs/pretrain/{model}.log",
    benchmark:
        "benchmarks/pretrain/{model}.tsv"
    params:
        code=code("trim.pretrain.cards"),
        training=lambda w: SECTIONS["pretrain"][w.model],
        shares=SECTIONS["pretrain"]["shares"],
        seed=SECTIONS["pretrain"]["seed"],
        out=lambda w, output: Path(output[0]).parent,
    shell:
        "trim pretrain lm --params results/params.yaml --model {wildcards.model:q} --out {params.out:q} > {log:q} 2>&1"


rule pretrain_prm:
    input:
        weak=f"{OUT}/weak/model.safetensors",
        strong=f"{OUT}/strong/model.safetensors",
    output:
        expand(f"{OUT}/prm/{{file}}", file=MODEL_FILES),
    log:
        "logs/pretrain/prm.log",
    benchmark:
        "benchmarks/pretrain/prm.tsv"
    threads: 2
    params:
        code=code("trim.pretrain.cards"),
        training=SECTIONS["pretrain"]["prm"],
        shares=SECTIONS["pretrain"]["shares"],
        seed=SECTIONS["pretrain"]["seed"],
        weak=lambda w, input: Path(input.weak).parent,
        strong=lambda w, input: Path(input.strong).parent,
        out=lambda w, output: Path(output[0]).parent,
    shell:
        "trim pretrain prm --params results/params.yaml --weak {params.weak:q} --strong {params.strong:q}"
        " --out {params.out:q} > {log:q} 2>&1"


rule pretrain_cards:
    input:
        expand(f"{OUT}/{{model}}/model.safetensors", model=["weak", "strong", "prm"]),
    output:
        expand(f"{OUT}/{{model}}/README.md", model=["weak", "strong", "prm"]),
    log:
        "logs/pretrain/cards.log",
    benchmark:
        "benchmarks/pretrain/cards.tsv"
    threads: 2
    params:
        code=code("trim.pretrain.cards"),
        probe=SECTIONS["pretrain"]["probe"],
        out=lambda w, output: Path(output[0]).parent.parent,
    shell:
        "trim pretrain cards --params results/params.yaml {params.out:q} > {log:q} 2>&1"
