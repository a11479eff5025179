rule scores:
    input:
        problems="results/problems/{benchmark}.parquet",
        weak=expand(
            "results/rollouts/{{benchmark}}/{split}/weak.{{shard}}.parquet",
            split=SPLITS,
        ),
        model=model("prm"),
        code=code("trim.stages.scores"),
    output:
        expand("results/scores/{{benchmark}}/{split}.{{shard}}.parquet", split=SPLITS),
    log:
        "logs/scores/{benchmark}/{shard}.log",
    benchmark:
        "benchmarks/scores/{benchmark}/{shard}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    resources:
        gpu=gpus("prm"),
        prm=1,
    params:
        experiment=PARAMS,
        generation=config["generation"],
        settings=settings("prm"),
        layers=lambda w, input: [f"--layer {path}" for path in input.weak],
        out=lambda w, output: Path(output[0]).parent,
    shell:
        "trim scores --params {params.experiment} --problems {input.problems} --shard {wildcards.shard}"
        " {params.layers} --out {params.out}"
        " --journal results/.journal/{wildcards.benchmark}-scores-{wildcards.shard}.sqlite > {log} 2>&1"
