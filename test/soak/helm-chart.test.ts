import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { INetworkPolicy } from "kubernetes-models/networking.k8s.io/v1";
import type { IPodTemplateSpec, IService } from "kubernetes-models/v1";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { ROOT } from "../../scripts/guide.ts";
import { parseDuration } from "../../src/duration.ts";
import { deployFile, optionOf } from "../deploy/deploy-file.ts";
import { imageConfig } from "../deploy/dockerfile.ts";
import { Chart, type Manifest } from "./helm/chart.ts";
import { unknownFields, validate } from "./helm/models.ts";

const hasGo = spawnSync("go", ["version"]).status === 0;

const REQUIRED = { image: { repository: "registry.example.com/shop" }, secret: "shop" };
const MODES = ["single", "cluster"] as const;
/** Values that turn on what is off by default. */
const EVERYTHING = {
  ...REQUIRED,
  config: 'export default { children: [{ name: "a" }] };\n',
  env: [{ name: "LOG_LEVEL", value: "info" }],
  image: { ...REQUIRED.image, pullSecrets: [{ name: "registry" }] },
  volumes: { journal: { storageClass: "fast" } },
  service: { annotations: { "example.com/a": "b" } },
  networkPolicy: { database: { peers: [{ ipBlock: { cidr: "10.1.2.3/32" } }] } },
  podAnnotations: { "example.com/c": "d" },
  nodeSelector: { "kubernetes.io/arch": "amd64" },
  tolerations: [{ key: "agents", operator: "Exists" }],
  affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } },
};

const image = imageConfig(deployFile("app/Dockerfile"));
const schema = z.fromJSONSchema(JSON.parse(deployFile("helm/castellan/values.schema.json")));

describe.skipIf(!hasGo)("deploy/helm", () => {
  let chart: Chart;

  beforeAll(async () => {
    chart = await Chart.build();
  }, 300_000);

  afterAll(() => chart?.[Symbol.asyncDispose]());

  /** The pods of a release. */
  async function podOf(mode: (typeof MODES)[number], values: object = REQUIRED): Promise<IPodTemplateSpec> {
    const manifests = await chart.render({ ...values, mode });
    const { spec } = (manifests.get("StatefulSet") ?? manifests.get("Deployment")) as Manifest & {
      spec: { template: IPodTemplateSpec };
    };
    return spec.template;
  }

  test("the chart: has the version of the package, and values that fit their schema", () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    expect(parse(deployFile("helm/castellan/Chart.yaml"))).toMatchObject({ version, appVersion: version });
    expect(schema.safeParse(chart.values()).error).toBeUndefined();
    expect(schema.safeParse(chart.values(EVERYTHING)).error).toBeUndefined();
    for (const wrong of [{ replica: 2 }, { mode: "both" }, { drainSeconds: "45" }, { volumes: { jurnal: {} } }]) {
      expect(schema.safeParse(chart.values(wrong)).success).toBe(false);
    }
  });

  test("the chart: says which values it needs", async () => {
    await expect(chart.render({ secret: "shop" })).rejects.toThrow("image.repository is the image of your application");
    await expect(chart.render({ image: REQUIRED.image })).rejects.toThrow("secret is the name of a secret");
  });

  test.for(MODES)(
    "%s: consists of objects that Kubernetes knows, without unknown fields",
    { timeout: 120_000 },
    async (mode) => {
      for (const values of [REQUIRED, EVERYTHING]) {
        const manifests = await chart.render({ ...values, mode });
        validate(manifests.values());
        expect(await unknownFields(manifests.values())).toEqual([]);
      }
    },
  );

  test("unknownFields(): names a field that Kubernetes does not know", async () => {
    const pods = { containers: [{ name: "a", imag: "b" }] };
    const wrong = { apiVersion: "apps/v1", kind: "Deployment", spec: { selector: {}, template: { spec: pods } } };
    expect(await unknownFields([wrong])).toEqual([expect.stringContaining("imag")]);
    expect(() => validate([{ apiVersion: "v1", kind: "Service", spec: { ports: [{ port: "x" }] } }])).toThrow();
  });

  test("single: is one pod with volumes; cluster: is a deployment with a budget, and keeps no file", async () => {
    const single = await chart.render({ ...REQUIRED, mode: "single" });
    expect([...single.keys()].toSorted()).toEqual(["NetworkPolicy", "Service", "StatefulSet"]);
    expect(single.get("StatefulSet")).toMatchObject({ spec: { replicas: 1 } });
    const cluster = await chart.render({ ...REQUIRED, mode: "cluster" });
    expect([...cluster.keys()].toSorted()).toEqual(["Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service"]);
    expect(cluster.get("Deployment")).toMatchObject({ spec: { replicas: 3 } });
    expect(cluster.get("PodDisruptionBudget")).toMatchObject({ spec: { maxUnavailable: 1 } });
  });

  test.for(MODES)("%s: selects its own pods everywhere", async (mode) => {
    const manifests = await chart.render({ ...REQUIRED, mode });
    const { metadata } = await podOf(mode);
    for (const { kind, spec } of manifests.values()) {
      const { selector, podSelector } = spec as Record<string, { matchLabels?: object } | undefined>;
      const wanted = kind === "Service" ? selector : (selector ?? podSelector)?.matchLabels;
      expect(wanted, kind).toEqual({ "app.kubernetes.io/name": "castellan", "app.kubernetes.io/instance": "shop" });
      expect(metadata?.labels, kind).toMatchObject(wanted as object);
    }
  });

  test.for(MODES)(
    "%s: runs the command of the image, with what the image needs, under its restrictions",
    async (mode) => {
      const { spec } = await podOf(mode, EVERYTHING);
      const [container] = spec?.containers ?? [];
      expect(container?.args).toEqual(image.cmd);
      const mounted = container?.volumeMounts?.map(({ mountPath }) => mountPath);
      expect(mounted).toEqual(expect.arrayContaining([...image.volumes, "/tmp"]));
      expect(spec?.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: Number(image.user.split(":")[0]) });
      expect(container?.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
      const manifests = await chart.render({ ...EVERYTHING, mode });
      const claims = (
        manifests.get("StatefulSet")?.["spec"] as
          | { volumeClaimTemplates?: { metadata: { name: string } }[] }
          | undefined
      )?.volumeClaimTemplates;
      const volumes = [
        ...(spec?.volumes ?? []).map(({ name }) => name),
        ...(claims ?? []).map(({ metadata }) => metadata.name),
      ];
      expect(container?.volumeMounts?.map(({ name }) => name).toSorted()).toEqual(volumes.toSorted());
    },
  );

  test.for(MODES)("%s: gives the pod longer than the drain and the pause before it", async (mode) => {
    for (const drainSeconds of [45, 600]) {
      const { spec } = await podOf(mode, { ...REQUIRED, drainSeconds });
      const [container] = spec?.containers ?? [];
      const drainMs = parseDuration(optionOf(container?.args ?? [], "--drain-timeout")) ?? 0;
      const pause = Number(container?.lifecycle?.preStop?.exec?.command?.at(-1));
      expect([drainMs, pause > 0]).toEqual([drainSeconds * 1_000, true]);
      expect(spec?.terminationGracePeriodSeconds).toBeGreaterThan(drainSeconds + pause + 5);
    }
  });

  test.for(MODES)(
    "%s: probes liveness by livez, readiness by readyz, on ports that the container has",
    async (mode) => {
      const manifests = await chart.render({ ...REQUIRED, mode });
      const [container] = (await podOf(mode)).spec?.containers ?? [];
      expect(container).toMatchObject({
        startupProbe: { httpGet: { path: "/livez", port: "http" } },
        livenessProbe: { httpGet: { path: "/livez", port: "http" } },
        readinessProbe: { httpGet: { path: "/readyz", port: "http" } },
      });
      const ports = container?.ports?.map(({ name }) => name) ?? [];
      expect(ports).toEqual(mode === "single" ? ["http", "metrics"] : ["http", "metrics", "nodes"]);
      const service = manifests.get("Service") as Manifest & IService;
      const policy = manifests.get("NetworkPolicy") as Manifest & INetworkPolicy;
      expect(service.spec?.ports?.map(({ targetPort }) => targetPort)).toEqual(["http"]);
      expect(policy.spec?.ingress?.flatMap(({ ports: open = [] }) => open.map(({ port }) => port))).toEqual(ports);
      // Every rule names who it is for.
      expect(policy.spec?.ingress?.filter(({ from = [] }) => from.length === 0)).toEqual([]);
    },
  );

  test.for(MODES)("%s: sets the variables that the application reads", async (mode) => {
    const [container] = (await podOf(mode)).spec?.containers ?? [];
    const set = container?.env?.map(({ name }) => name) ?? [];
    const read = [...deployFile("app/castellan.config.ts").matchAll(/env: "(\w+)"|env\["(\w+)"\]/g)].map(
      ([, one, two]) => one ?? two ?? "",
    );
    expect(set).toEqual(expect.arrayContaining(mode === "cluster" ? read : ["MAX_PROCESSES"]));
    expect(set.includes("DATABASE_URL")).toBe(mode === "cluster");
    // A variable in the value of another has to be set before it.
    for (const { name, value = "" } of container?.env ?? []) {
      const used = [...value.matchAll(/\$\((\w+)\)/g)].map(([, variable = ""]) => variable);
      expect(set.slice(0, set.indexOf(name))).toEqual(expect.arrayContaining(used));
    }
  });
});
