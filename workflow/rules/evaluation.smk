rule episodes:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=lambda w: LAYOUT.layers(w.benchmark, "test"),
        draws="results/draws/{benchmark}/test.parquet",
        fits=lambda w: LAYOUT.fits(w.benchmark, [w.router]),
        reward_model=lambda w: LAYOUT.scoring([w.router]),
        models=LAYOUT.models(),
    output:
        "results/episodes/{benchmark}/{router}.parquet",
    log:
        "logs/episodes/{benchmark}/{router}.log",
    benchmark:
        "benchmarks/episodes/{benchmark}/{router}.tsv"
    resources:
        **LAYOUT.resources(),
    params:
        **run_params("trim.stages.episodes"),
        router_code=lambda w: router_code(w.router),
        router=lambda w: SECTIONS["routers"][w.router],
        models=SECTIONS["models"],
    shell:
        "trim episodes --params results/params.yaml --benchmark {wildcards.benchmark:q} --router {wildcards.router:q}"
        " --problems {input.problems:q} --split test {input.layers:q} {input.draws:q} --fitted results/routers"
        " --out {output:q} --journal results/.journal/{wildcards.benchmark:q}-test-{wildcards.router:q}.sqlite > {log:q} 2>&1"


rule evaluate:
    input:
        episodes=LAYOUT.episodes(),
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
    params:
        code=code("trim.stages.evaluate"),
        reads=LAYOUT.reported,
    shell:
        "trim evaluate --params results/params.yaml {input.episodes:q} > {log:q} 2>&1"
