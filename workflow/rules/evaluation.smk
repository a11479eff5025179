rule episodes:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=test_layers,
        draws="results/draws/{benchmark}/test.parquet",
        fits=lambda w: fit_files([w.router], w.benchmark),
        models=models(),
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
        code=code("trim.stages.episodes"),
        router_code=lambda w: router_code(KINDS[w.router]),
        identities=IDENTITIES,
        router=lambda w: PLAN["routers"][w.router],
        models=PLAN["models"],
        generation=PLAN["generation"],
        layers=lambda w, input: [
            f"--layer={path}" for path in [*input.layers, input.draws]
        ],
    shell:
        "trim episodes --params {params.experiment:q} --benchmark {wildcards.benchmark:q} --router {wildcards.router:q}"
        " --problems {input.problems:q} --split test {params.layers:q} --fitted results/routers"
        " --out {output:q} --journal results/.journal/{wildcards.benchmark:q}-test-{wildcards.router:q}.sqlite > {log:q} 2>&1"


rule evaluate:
    input:
        episodes=EPISODES,
    output:
        "results/summary.csv",
        "results/measures.csv",
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
        code=code("trim.stages.evaluate"),
        reads=REPORTED,
    shell:
        "trim evaluate --params {params.experiment:q} {input.episodes:q} > {log:q} 2>&1"
