"""The Kubernetes recipe as data, and what must agree between its files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "deploy" / "kubernetes"
Manifest = dict[str, Any]


class Pods(NamedTuple):
    """A Deployment's pods."""

    name: str
    labels: dict[str, str]
    spec: dict[str, Any]

    @property
    def containers(self) -> list[dict[str, Any]]:
        containers: list[dict[str, Any]] = self.spec["containers"]
        return containers

    def ports(self) -> dict[str, int]:
        return {port["name"]: port["containerPort"] for each in self.containers for port in each["ports"]}


@dataclass(frozen=True)
class Recipe:
    """All manifests that are applied, the secrets' example, and the names that kustomize makes."""

    manifests: list[Manifest]
    secrets: list[Manifest]
    config_maps: dict[str, set[str]]

    def of(self, kind: str) -> dict[str, Manifest]:
        return {each["metadata"]["name"]: each for each in self.manifests if each["kind"] == kind}

    def pods(self) -> list[Pods]:
        templates = [(name, each["spec"]["template"]) for name, each in self.of("Deployment").items()]
        return [Pods(name, template["metadata"]["labels"], template["spec"]) for name, template in templates]

    def selected(self, labels: dict[str, str]) -> list[Pods]:
        return [pods for pods in self.pods() if labels.items() <= pods.labels.items()]


def documents(name: str) -> list[Manifest]:
    return [each for each in yaml.safe_load_all((FOLDER / name).read_text()) if each is not None]


def load_recipe() -> Recipe:
    [kustomization] = documents("kustomization.yaml")
    return Recipe(
        manifests=[each for name in kustomization["resources"] for each in documents(name)],
        secrets=documents("secrets.example.yaml"),
        config_maps={each["name"]: set(each["files"]) for each in kustomization["configMapGenerator"]},
    )


def faults(recipe: Recipe) -> list[str]:
    """Every reference that leads nowhere, and every pod that may do more than it must."""
    checks = (selectors, services, volumes, secret_keys, scaling, network, privileges)
    return [fault for check in checks for fault in check(recipe)]


def selectors(recipe: Recipe) -> Iterator[str]:
    for name, each in recipe.of("Deployment").items():
        if (
            not each["spec"]["selector"]["matchLabels"].items()
            <= each["spec"]["template"]["metadata"]["labels"].items()
        ):
            yield f"Deployment {name} does not select its own pods"
    for name, each in recipe.of("PodDisruptionBudget").items():
        if not recipe.selected(each["spec"]["selector"]["matchLabels"]):
            yield f"PodDisruptionBudget {name} selects no pod"


def services(recipe: Recipe) -> Iterator[str]:
    for name, each in recipe.of("Service").items():
        pods = recipe.selected(each["spec"]["selector"])
        if len(pods) != 1:
            yield f"Service {name} selects {len(pods)} Deployments"
            continue
        for port in each["spec"]["ports"]:
            if port["targetPort"] not in pods[0].ports():
                yield f"Service {name}: no container port is called {port['targetPort']}"
    for pods in recipe.pods():
        for container in pods.containers:
            probes = [container.get(f"{kind}Probe", {}) for kind in ("startup", "liveness", "readiness")]
            used = {probe[how]["port"] for probe in probes for how in ("httpGet", "tcpSocket") if how in probe}
            for port in used - {port["name"] for port in container["ports"]}:
                yield f"{pods.name}: a probe asks for the port {port}, which is not there"


def volumes(recipe: Recipe) -> Iterator[str]:
    accounts = set(recipe.of("ServiceAccount")) | {None}
    for pods in recipe.pods():
        if pods.spec.get("serviceAccountName") not in accounts:
            yield f"{pods.name}: no such ServiceAccount"
        there = {volume["name"] for volume in pods.spec.get("volumes", [])}
        mounted = {mount["name"] for each in pods.containers for mount in each.get("volumeMounts", [])}
        for volume in there ^ mounted:
            yield f"{pods.name}: volume {volume} is either not mounted or not there"
        for volume in pods.spec.get("volumes", []):
            name = volume.get("configMap", {}).get("name")
            if name is not None and name not in recipe.config_maps:
                yield f"{pods.name}: no ConfigMap {name}"


def secret_keys(recipe: Recipe) -> Iterator[str]:
    known = {(each["metadata"]["name"], key) for each in recipe.secrets for key in each["stringData"]}
    used: set[tuple[str, str]] = set()
    for pods in recipe.pods():
        for container in pods.containers:
            seen: set[str] = set()
            for variable in container.get("env", []):
                for name in re.findall(r"\$\(([A-Z_]+)\)", variable.get("value", "")):
                    if name not in seen:
                        yield f"{pods.name}: {variable['name']} uses {name}, which is not set before it"
                seen.add(variable["name"])
                reference = variable.get("valueFrom", {}).get("secretKeyRef")
                if reference is not None:
                    used.add((reference["name"], reference["key"]))
            for name in re.findall(r"\$\(([A-Z_]+)\)", " ".join(container.get("args", []))):
                if name not in seen:
                    yield f"{pods.name}: its arguments use {name}, which is not set"
    for name, key in used ^ known:
        yield f"Secret {name}, key {key}: either not used or not in the example"


def scaling(recipe: Recipe) -> Iterator[str]:
    for name, each in recipe.of("HorizontalPodAutoscaler").items():
        target = each["spec"]["scaleTargetRef"]
        deployment = recipe.of(target["kind"]).get(target["name"])
        if deployment is None:
            yield f"HorizontalPodAutoscaler {name}: no {target['kind']} {target['name']}"
        elif "replicas" in deployment["spec"]:
            yield f"HorizontalPodAutoscaler {name}: every apply of {target['name']} sets its replicas back"
        for metric in each["spec"]["metrics"]:
            described = metric.get("object", {}).get("describedObject")
            if described is not None and described["name"] not in recipe.of(described["kind"]):
                yield f"HorizontalPodAutoscaler {name}: no {described['kind']} {described['name']}"


def network(recipe: Recipe) -> Iterator[str]:
    for name, each in recipe.of("NetworkPolicy").items():
        spec = each["spec"]
        labels = spec["podSelector"].get("matchLabels", {})
        if not recipe.selected(labels):
            yield f"NetworkPolicy {name} selects no pod"
        rules = [(rule, recipe.selected(labels)) for rule in spec.get("ingress", [])]
        for rule in spec.get("egress", []):
            ours = [peer["podSelector"]["matchLabels"] for peer in rule["to"] if "podSelector" in peer]
            rules += [(rule, recipe.selected(peer)) for peer in ours]
            if any(not recipe.selected(peer) for peer in ours):
                yield f"NetworkPolicy {name} lets out to no pod"
        for rule, targets in rules:
            for port in rule["ports"]:
                if any(port["port"] not in pods.ports() for pods in targets):
                    yield f"NetworkPolicy {name}: no container port is called {port['port']}"


def privileges(recipe: Recipe) -> Iterator[str]:
    for pods in recipe.pods():
        context = pods.spec.get("securityContext", {})
        if not context.get("runAsNonRoot") or context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{pods.name} may run as root, or without seccomp"
        if pods.spec.get("automountServiceAccountToken") is not False:
            yield f"{pods.name} gets a token of the cluster's API"
        for container in pods.containers:
            wanted = {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            if container.get("securityContext") != wanted:
                yield f"{pods.name}: container {container['name']} may do more than it must"
            if "memory" not in container.get("resources", {}).get("limits", {}):
                yield f"{pods.name}: container {container['name']} has no memory limit"
