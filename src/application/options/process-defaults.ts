import type { SessionDefaults } from "../../session/options/options.ts";

/** One list per process, even if this package is loaded twice. */
const SHARED = Symbol.for("castellan.process-defaults");

function installed(): SessionDefaults[] {
  const existing = Reflect.get(globalThis, SHARED) as SessionDefaults[] | undefined;
  const list = existing ?? [];
  if (existing === undefined) Reflect.set(globalThis, SHARED, list);
  return list;
}

/**
 * Installs session options below the defaults of every supervisor that starts from now on. Tests use it to put a fake Claude
 * under an application.
 *
 * @returns a function that removes them
 */
export function installDefaults(defaults: SessionDefaults): () => void {
  const list = installed();
  list.push(defaults);
  return () => {
    const index = list.indexOf(defaults);
    if (index !== -1) list.splice(index, 1);
  };
}

/** Returns the installed options; later ones override earlier ones. */
export function processDefaults(): SessionDefaults {
  return Object.assign({}, ...installed());
}
