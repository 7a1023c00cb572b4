import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { installedLicenseFault } from "./license-rules.ts";
import { installedPaths, type LockedPackages, nameAt } from "./locked-packages.ts";

/*
 * Checks the licenses of all packages that are installed with Castellan, as package-lock.json names them. The build checks those of the
 * packages whose code it includes; see bundled-licenses.ts.
 */

const file = join(import.meta.dirname, "../package-lock.json");
const { packages } = JSON.parse(await readFile(file, "utf8")) as { readonly packages: LockedPackages };
const paths = [...installedPaths(packages)];
const faults = paths.flatMap((path) => installedLicenseFault(nameAt(packages, path), packages[path]?.license) ?? []);
if (faults.length > 0) throw new Error(faults.join("\n"));
console.log(`${paths.length} packages have allowed licenses`);
