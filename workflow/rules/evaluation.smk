rule episodes:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=test_layers,
        draws="results/draws/{benchmark}/test.parquet",
        fits=lambda w: fit_files([w.router], w.benchmark),
        models=models(),
        code=code("trim.stages.episodes"),
        router=lambda w: router_code(KINDS[w.router]),
    output:
        "results/episodes/{benchmark}/{router}.parquet",
    log:
        "logs/episodes/{benchmark}/{router}.log",
    benchmark:
        "benchmarks/episodes/{benchmark}/{router}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    resources:
        **EVERY_MODEL,
    params:
        experiment=PARAMS,
        router=lambda w: config["routers"][w.router],
        models=config["models"],
        generation=config["generation"],
        layers=lambda w, input: [
            f"--layer {path}" for path in [*input.layers, input.draws]
        ],
    shell:
        "trim episodes --params {params.experiment} --benchmark {wildcards.benchmark} --router {wildcards.router}"
        " --problems {input.problems} --split test {params.layers} --fits results/routers"
        " --out {output} --journal results/.journal/{wildcards.benchmark}-test-{wildcards.router}.sqlite > {log} 2>&1"


rule evaluate:
    input:
        episodes=EPISODES,
        code=code("trim.stages.evaluate"),
    output:
        "results/summary.csv",
        "results/budgets.csv",
        "results/differences.csv",
        "results/ratios.csv",
        "results/units.csv",
        "results/metrics.json",
    log:
        "logs/evaluate.log",
    benchmark:
        "benchmarks/evaluate.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    params:
        experiment=PARAMS,
        evaluation=config["evaluation"],
    shell:
        "trim evaluate --params {params.experiment} {input.episodes} > {log} 2>&1"
