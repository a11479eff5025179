TABLES = expand(
    "results/tables/{name}.{format}",
    name=["main", "budgets", "operating_points", "differences", "thresholds"],
    format=["md", "csv", "tex"],
)
FIGURES = expand(
    "results/figures/{name}.{format}",
    name=["curves", "budgets", "scores"],
    format=["svg", "png"],
)
EVALUATED = [
    "results/summary.csv",
    "results/budgets.csv",
    "results/differences.csv",
]


rule tables:
    input:
        EVALUATED,
        fitted=expand(
            "results/routers/{benchmark}/{router}.json",
            benchmark=BENCHMARKS,
            router=FITTED,
        ),
        code=code("trim.report.tables"),
    output:
        report(
            TABLES,
            caption="../report/table.rst",
            category="Tables",
        ),
    log:
        "logs/tables.log",
    benchmark:
        "benchmarks/tables.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    params:
        experiment=PARAMS,
        evaluation=config["evaluation"],
    shell:
        "trim tables --params {params.experiment} > {log} 2>&1"


rule figures:
    input:
        EVALUATED,
        episodes=expand(
            "results/episodes/{benchmark}/{router}.parquet",
            benchmark=BENCHMARKS,
            router=ROUTERS,
        ),
        code=code("trim.report.figures"),
    output:
        report(FIGURES, caption="../report/figure.rst", category="Figures"),
    log:
        "logs/figures.log",
    benchmark:
        "benchmarks/figures.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    params:
        experiment=PARAMS,
        evaluation=config["evaluation"],
    shell:
        "trim figures --params {params.experiment} > {log} 2>&1"


rule page:
    input:
        EVALUATED,
        TABLES,
        FIGURES,
        code=code("trim.report.page"),
        template="trim/report/page.html.jinja",
    output:
        report("results/report.html", caption="../report/page.rst", category="Report"),
    log:
        "logs/page.log",
    benchmark:
        "benchmarks/page.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    params:
        experiment=PARAMS,
    shell:
        "trim report --params {params.experiment} > {log} 2>&1"
