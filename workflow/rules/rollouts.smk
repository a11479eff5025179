rule rollouts:
    input:
        problems="results/problems/{benchmark}.parquet",
        model=lambda w: model(w.model),
        code=code("trim.stages.rollouts"),
    output:
        expand(
            "results/rollouts/{{benchmark}}/{split}/{{model}}.{{shard}}.parquet",
            split=SPLITS,
        ),
    log:
        "logs/rollouts/{benchmark}/{model}.{shard}.log",
    benchmark:
        "benchmarks/rollouts/{benchmark}/{model}.{shard}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    resources:
        gpu=lambda w: gpus(w.model),
        weak=lambda w: int(w.model == "weak"),
        strong=lambda w: int(w.model == "strong"),
    params:
        experiment=PARAMS,
        generation=config["generation"],
        settings=lambda w: settings(w.model),
        shards=config.get("shards", 1),
        out=lambda w, output: Path(output[0]).parent.parent,
    shell:
        "trim rollouts --params {params.experiment} --problems {input.problems} --model {wildcards.model}"
        " --shard {wildcards.shard} --out {params.out}"
        " --journal results/.journal/{wildcards.benchmark}-{wildcards.model}-{wildcards.shard}.sqlite > {log} 2>&1"
