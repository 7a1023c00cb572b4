/** Licenses that ask no more of a copy than to keep their text and notices, by SPDX identifier. */
const ALLOWED: ReadonlySet<string> = new Set([
  "0BSD",
  "Apache-2.0",
  "BlueOak-1.0.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "ISC",
  "MIT",
  "Unlicense",
]);

/** Packages with terms of their own, which users accept when they install Claude Code. The package of Castellan contains none of them. */
const OWN_TERMS = /^@anthropic-ai\/claude-agent-sdk(-[\w-]+)?$/;

/**
 * Says what is wrong with the license of a package whose code the package of Castellan contains, or returns undefined. Each license of
 * an SPDX expression must be allowed, also where the expression leaves a choice.
 */
export function bundledLicenseFault(name: string, license: string | undefined): string | undefined {
  if (license === undefined) return `the package ${name} names no license`;
  const ids = license
    .replace(/[()]/g, " ")
    .trim()
    .split(/ +(?:AND|OR) +/);
  const refused = ids.map((id) => id.trim()).filter((id) => !ALLOWED.has(id));
  if (refused.length === 0) return undefined;
  return `the package ${name} has the license ${license}; scripts/license-rules.ts does not allow ${refused.join(", ")}`;
}

/** The same for a package that is installed with Castellan. */
export function installedLicenseFault(name: string, license: string | undefined): string | undefined {
  return OWN_TERMS.test(name) ? undefined : bundledLicenseFault(name, license);
}
