#!/usr/bin/env node
import { nodeProblem } from "../node-release.ts";

const problem = nodeProblem(process.versions.node);
if (problem === undefined) {
  const { program } = await import("./program.ts");
  await program.parseAsync();
} else {
  console.error(problem);
  process.exitCode = 1;
}
