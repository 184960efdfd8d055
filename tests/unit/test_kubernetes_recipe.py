"""The Kubernetes recipe: each manifest fits Kubernetes' own schema, and all of them fit each other and the server."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from judge.registry import build_judge
from reward_server.app import create_app
from reward_server.cache.settings import CacheSettings
from reward_server.config import ServerConfig, load_config
from reward_server.edge.keys import KeyRing, read_variable
from tests.unit.kubernetes_recipe import FOLDER, Manifest, Recipe, documents, faults, load_recipe

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="carries Kubernetes' schemas")
VERSIONS = ("1.32", "1.37")
RECIPE = load_recipe()
CONFIG = load_config(FOLDER / "server.toml")


def check_schema(manifest: Manifest, version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def name_of(manifest: Manifest) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", [*RECIPE.manifests, *RECIPE.secrets], ids=name_of)
def test_schema(manifest: Manifest, version: str) -> None:
    check_schema(manifest, version)


def spec_of(manifest: Manifest) -> Any:
    return manifest["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda each: spec_of(each).update(terminationGracePeriod=5),
        lambda each: spec_of(each).update(terminationGracePeriodSeconds="135"),
        lambda each: each["spec"].pop("selector"),
        lambda each: spec_of(each)["containers"][0]["readinessProbe"]["httpGet"].pop("port"),
        lambda each: spec_of(each)["containers"][0]["env"][0].pop("name"),
        lambda each: each.update(kind="Deploymnet"),
    ],
)
def test_a_damaged_manifest_does_not_fit_the_schema(damage: Callable[[Manifest], Any]) -> None:
    manifest = copy.deepcopy(RECIPE.of("Deployment")["sgpo-server"])
    check_schema(manifest, VERSIONS[0])
    damage(manifest)
    with pytest.raises((kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError)):
        check_schema(manifest, VERSIONS[0])


def test_the_manifests_fit_each_other() -> None:
    assert faults(RECIPE) == []
    kinds = {"Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "NetworkPolicy"}
    assert kinds <= {each["kind"] for each in RECIPE.manifests}


def spec(recipe: Recipe, kind: str, name: str) -> Any:
    return recipe.of(kind)[name]["spec"]


def deployment(recipe: Recipe, name: str = "sgpo-server") -> Any:
    return spec(recipe, "Deployment", name)["template"]["spec"]


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda r: spec(r, "Service", "sgpo-redis")["selector"].update(app="redis"), "selects 0 Deployments"),
        (lambda r: spec(r, "Service", "sgpo-judge")["ports"][0].update(targetPort="web"), "called web"),
        (lambda r: spec(r, "PodDisruptionBudget", "sgpo-server")["selector"]["matchLabels"].update(app="x"), "no pod"),
        (lambda r: deployment(r)["volumes"][0]["configMap"].update(name="server"), "no ConfigMap server"),
        (lambda r: deployment(r)["volumes"].pop(), "volume tmp"),
        (lambda r: deployment(r)["containers"][0]["env"].pop(3), "uses REDIS_PASSWORD"),
        (lambda r: deployment(r)["containers"][0]["env"][0]["valueFrom"]["secretKeyRef"].update(key="key"), "key key"),
        (lambda r: deployment(r)["containers"][0]["livenessProbe"]["httpGet"].update(port="web"), "port web"),
        (lambda r: spec(r, "Deployment", "sgpo-server").update(replicas=3), "sets its replicas back"),
        (lambda r: spec(r, "HorizontalPodAutoscaler", "sgpo-judge")["scaleTargetRef"].update(name="x"), "no Depl"),
        (lambda r: spec(r, "NetworkPolicy", "sgpo-redis")["ingress"][0]["ports"][0].update(port="http"), "called http"),
        (lambda r: deployment(r)["securityContext"].pop("runAsNonRoot"), "may run as root"),
        (lambda r: deployment(r, "sgpo-redis")["containers"][0]["securityContext"].pop("capabilities"), "may do more"),
        (lambda r: deployment(r, "sgpo-judge").pop("automountServiceAccountToken"), "token of the cluster"),
    ],
)  # fmt: skip
def test_a_reference_that_leads_nowhere_is_found(damage: Callable[[Recipe], Any], fault: str) -> None:
    recipe = copy.deepcopy(RECIPE)
    damage(recipe)
    assert any(fault in found for found in faults(recipe)), faults(recipe)


def test_the_server_is_configured_for_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    [container] = deployment(RECIPE)["containers"]
    variables = {each["name"] for each in container["env"]}
    named = {CONFIG.auth.api_keys_env, CONFIG.cache.redis_url_env, CONFIG.cache.secret_env, CONFIG.judge["api_key_env"]}
    assert named <= variables
    [port] = container["ports"]
    assert (CONFIG.server.host, CONFIG.server.port) == ("0.0.0.0", port["containerPort"])
    [mount] = [each for each in container["volumeMounts"] if each["name"] == "config"]
    assert container["args"] == ["--config", f"{mount['mountPath']}/server.toml"]
    assert CONFIG.server.replicas > 1
    assert CONFIG.cache.kind == "redis"
    monkeypatch.setenv("JUDGE_API_KEY", "k" * 32)
    build_judge(CONFIG.judge)


def test_addresses_name_services() -> None:
    ports = {name: {port["port"] for port in each["spec"]["ports"]} for name, each in RECIPE.of("Service").items()}
    [container] = deployment(RECIPE)["containers"]
    [redis_url] = [each["value"] for each in container["env"] if each["name"] == CONFIG.cache.redis_url_env]
    for url in (redis_url, CONFIG.judge["base_url"]):
        found = re.search(r"([a-z-]+):(\d+)(/|$)", url)
        assert found is not None
        assert int(found[2]) in ports[found[1]]
    [vllm] = deployment(RECIPE, "sgpo-judge")["containers"]
    assert f"--model={CONFIG.judge['model']}" in vllm["args"]
    assert f"--port={vllm['ports'][0]['containerPort']}" in vllm["args"]


def test_pods_have_the_time_that_the_server_takes() -> None:
    for name, longest in (("sgpo-server", CONFIG.server.drain_timeout_s), ("sgpo-judge", CONFIG.judge["timeout_s"])):
        spec = deployment(RECIPE, name)
        [container] = spec["containers"]
        assert (
            spec["terminationGracePeriodSeconds"]
            >= container["lifecycle"]["preStop"]["sleep"]["seconds"] + longest + 10
        )
    probe = deployment(RECIPE)["containers"][0]["readinessProbe"]
    assert probe["timeoutSeconds"] > CONFIG.server.ready_timeout_s
    assert CONFIG.judge["timeout_s"] < CONFIG.server.request_timeout_s <= CONFIG.server.drain_timeout_s


def test_what_the_autoscalers_look_at_is_counted_by_the_server() -> None:
    offline = CONFIG.model_copy(update={"cache": CacheSettings(), "judge": {"kind": "scripted"}})
    app = create_app(offline, build_judge(offline.judge), KeyRing())
    counted = set(re.findall(r"^# TYPE (\S+)", app.state.services.metrics.render().decode(), re.MULTILINE))
    looked_at = set()
    for each in RECIPE.of("HorizontalPodAutoscaler").values():
        for metric in each["spec"]["metrics"]:
            looked_at |= {metric[kind]["metric"]["name"] for kind in ("pods", "object") if kind in metric}
    [values] = documents("prometheus-adapter-values.yaml")
    served = {rule["seriesQuery"].partition("{")[0] for rule in values["rules"]["custom"]}
    assert looked_at == served
    assert looked_at <= counted


def test_the_examples_secrets_are_refused() -> None:
    for secret in RECIPE.secrets:
        for value in secret["stringData"].values():
            with pytest.raises(Exception, match="at least 32"):
                read_variable("SGPO_API_KEYS", value)


def test_the_scrape_finds_the_service() -> None:
    [monitor] = documents("servicemonitor.yaml")
    service = RECIPE.of("Service")["sgpo-server"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}


def test_the_dockerfile_takes_what_the_package_is_made_of() -> None:
    lines = (FOLDER / "Dockerfile").read_text().splitlines()
    sources = [
        word for line in lines if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
    ]
    root = FOLDER.parents[2]
    assert all((root / source).exists() for source in sources)
    packages = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert {pattern.removesuffix("*") for pattern in packages["find"]["include"]} <= set(sources)
    let_in = {
        line[1:] for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")
    }
    assert let_in == set(sources)
    user = deployment(RECIPE)["securityContext"]
    assert f"USER {user['runAsUser']}:{user['runAsGroup']}" in lines


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_builds_it() -> None:
    built = subprocess.run(
        ["kubectl", "kustomize", str(FOLDER)], capture_output=True, text=True, timeout=60, check=True
    )
    manifests = list(yaml.safe_load_all(built.stdout))
    [config_map] = [each for each in manifests if each["kind"] == "ConfigMap"]
    assert ServerConfig.model_validate(tomllib.loads(config_map["data"]["server.toml"])) == CONFIG
    for manifest in manifests:
        check_schema(manifest, VERSIONS[0])
    [server] = [
        each for each in manifests if each["kind"] == "Deployment" and each["metadata"]["name"] == "sgpo-server"
    ]
    assert spec_of(server)["volumes"][0]["configMap"]["name"] == config_map["metadata"]["name"]
    assert spec_of(server)["containers"][0]["image"].endswith("/sgpo-server:0.1.0")
