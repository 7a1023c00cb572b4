import { execFile } from "node:child_process";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deployment, StatefulSet } from "kubernetes-models/apps/v1";
import { NetworkPolicy } from "kubernetes-models/networking.k8s.io/v1";
import { PodDisruptionBudget } from "kubernetes-models/policy/v1";
import { ConfigMap, Service } from "kubernetes-models/v1";
import { ROOT } from "../../../scripts/guide.ts";
import type { Manifest } from "./chart.ts";

/** The models by kind, and the modules that they come from. */
const MODELS: Readonly<Record<string, readonly [model: new (data: never) => { validate(): void }, module: string]>> = {
  ConfigMap: [ConfigMap, "v1"],
  Deployment: [Deployment, "apps/v1"],
  NetworkPolicy: [NetworkPolicy, "networking.k8s.io/v1"],
  PodDisruptionBudget: [PodDisruptionBudget, "policy/v1"],
  Service: [Service, "v1"],
  StatefulSet: [StatefulSet, "apps/v1"],
};

/** Checks the types, the formats and the required fields of objects. @throws Error */
export function validate(manifests: Iterable<Manifest>): void {
  for (const manifest of manifests) {
    const [Model] = modelOf(manifest);
    new Model(manifest as never).validate();
  }
}

/** Names the fields that Kubernetes does not know, which the models let pass: the compiler finds them in literals of their types. */
export async function unknownFields(manifests: Iterable<Manifest>): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), "castellan-manifests-"));
  try {
    await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
    const declarations = [...manifests].map((manifest, at) => {
      const type = `import("kubernetes-models/${modelOf(manifest)[1]}").I${manifest.kind}`;
      return `export const m${at}: ${type} = ${JSON.stringify(manifest, undefined, 1)};\n`;
    });
    await writeFile(join(folder, "manifests.ts"), declarations.join(""));
    const options = [
      "--noEmit",
      "--strict",
      "--skipLibCheck",
      "--ignoreConfig",
      "--module",
      "nodenext",
      "--types",
      "",
      "manifests.ts",
    ];
    const { promise, resolve } = Promise.withResolvers<string>();
    execFile(
      process.execPath,
      [join(ROOT, "node_modules/typescript/bin/tsc"), ...options],
      { cwd: folder },
      (_, stdout) => resolve(stdout),
    );
    return (await promise).split("\n").filter((line) => line.includes("error TS"));
  } finally {
    await rm(folder, { recursive: true });
  }
}

function modelOf({ kind, apiVersion }: Manifest): (typeof MODELS)[string] {
  const model = MODELS[kind];
  if (model === undefined || model[1] !== apiVersion) throw new Error(`no model of ${apiVersion} ${kind}`);
  return model;
}
