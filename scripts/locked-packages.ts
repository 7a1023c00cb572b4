/** A package in package-lock.json. */
export interface LockedPackage {
  /** Only where the folder has another name. */
  readonly name?: string;
  readonly license?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>;
}

/** The `packages` of package-lock.json, by the path of their folder. The project itself has the path "". */
export type LockedPackages = Readonly<Record<string, LockedPackage>>;

/**
 * Returns the paths of all packages that an application may install with the project: its dependencies, its peers, the optional ones
 * too, and what these depend on. Dev dependencies are not among them.
 *
 * @throws Error if the lock file lacks one that is not optional
 */
export function installedPaths(packages: LockedPackages): ReadonlySet<string> {
  const paths = new Set([""]);
  for (const from of paths) {
    const { dependencies, optionalDependencies, peerDependencies, peerDependenciesMeta } = packages[from] ?? {};
    const optional = (name: string): boolean =>
      name in (optionalDependencies ?? {}) || peerDependenciesMeta?.[name]?.optional === true;
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies })) {
      // An application installs the optional peers of its own choice. Those of other packages concern only who uses these directly.
      if (from !== "" && name in (peerDependencies ?? {}) && optional(name)) continue;
      const path = resolved(packages, from, name);
      if (path !== undefined) paths.add(path);
      else if (!optional(name))
        throw new Error(`package-lock.json lacks ${name}, which ${nameAt(packages, from)} needs`);
    }
  }
  paths.delete("");
  return paths;
}

/** Returns the name of the package in this folder. */
export function nameAt(packages: LockedPackages, path: string): string {
  return packages[path]?.name ?? path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
}

/** Looks for a package as Node.js does: in the folder of the one that needs it, and then outward. */
function resolved(packages: LockedPackages, from: string, name: string): string | undefined {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf("/node_modules/")))) {
    const path = `${folder === "" ? "" : `${folder}/`}node_modules/${name}`;
    if (path in packages) return path;
    if (folder === "") return undefined;
  }
}
