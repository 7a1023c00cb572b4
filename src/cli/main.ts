#!/usr/bin/env node
import { nodeProblem } from "../node-release.ts";

const problem = nodeProblem(process.versions.node);
if (problem === undefined) {
  process.stdout.on("error", (error: Error & { readonly code?: string }) => {
    if (error.code !== "EPIPE") throw error;
    // The reader has what it wants, as in `castellan logs … | head`. A server goes on.
    if (process.argv[2] !== "serve") process.exit();
  });
  const { runProgram } = await import("./run-program.ts");
  await runProgram(process.argv);
} else {
  console.error(problem);
  process.exitCode = 1;
}
