rule rollouts:
    input:
        problems="results/problems/{benchmark}.parquet",
        model=lambda w: model(w.model),
        code=code("trim.stages.rollouts"),
    output:
        "results/rollouts/{benchmark}/{split}/{model}.{shard}.parquet",
    log:
        "logs/rollouts/{benchmark}/{split}/{model}.{shard}.log",
    benchmark:
        "benchmarks/rollouts/{benchmark}/{split}/{model}.{shard}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    params:
        experiment=PARAMS,
        generation=config["generation"],
        dtype=lambda w: config["models"][w.model].get("dtype"),
        shards=config.get("shards", 1),
    shell:
        "trim rollouts --params {params.experiment} --problems {input.problems} --split {wildcards.split}"
        " --model {wildcards.model} --shard {wildcards.shard} --out {output}"
        " --journal results/.journal/{wildcards.benchmark}-{wildcards.split}-{wildcards.model}-{wildcards.shard}.sqlite"
        " > {log} 2>&1"
