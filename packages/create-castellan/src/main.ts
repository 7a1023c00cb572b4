#!/usr/bin/env node
import { HELP, parseArguments } from "./arguments.ts";
import { installPackages, packageClient } from "./packages.ts";
import { writeProject } from "./project.ts";
import { Cancelled, StarterError } from "./starter-error.ts";

/* `npm create castellan`: writes the files of a template, and installs its packages. */

const LEAST_NODE = 24;

/** The exit code of a command that the person has cancelled, as shells have it. */
const CANCELLED = 130;

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof StarterError || error instanceof Cancelled)) throw error;
  console.error(error.message);
  process.exitCode = error instanceof Cancelled ? CANCELLED : 1;
}

async function main(argv: readonly string[]): Promise<void> {
  if (Number(process.versions.node.split(".")[0]) < LEAST_NODE) {
    throw new StarterError(`Castellan needs Node.js ${LEAST_NODE} or newer; this is ${process.version}.`);
  }
  const given = parseArguments(argv);
  if (given.help) return console.log(HELP);
  // Loaded on demand: without a terminal nothing is asked.
  const { choose } = await import("./questions.ts");
  const { folder, template, install } = await choose(
    given,
    process.stdin.isTTY === true && process.stdout.isTTY === true,
  );
  await writeProject({ folder, template, castellan: given.castellan });
  console.log(`The ${template} is in ${folder}.`);
  const client = packageClient(process.env["npm_config_user_agent"]);
  if (install) await installPackages(folder, client);
  const steps = [`cd ${folder}`, ...(install ? [] : [`${client} install`]), `${client} start`];
  console.log(
    `\n  ${steps.join("\n  ")}\n\nWithout ANTHROPIC_API_KEY, a mock of the model answers. README.md says more.`,
  );
}
