import type { SessionDefaults } from "../../session/options/options.ts";

/** One list in a process, also if this package is loaded twice. */
const SHARED = Symbol.for("castellan.process-defaults");

function installed(): SessionDefaults[] {
  const existing = Reflect.get(globalThis, SHARED) as SessionDefaults[] | undefined;
  const list = existing ?? [];
  if (existing === undefined) Reflect.set(globalThis, SHARED, list);
  return list;
}

/**
 * Session options below those of every supervisor that is started from now on: for tests, which put a fake Claude under an
 * application.
 *
 * @returns takes them back
 */
export function installDefaults(defaults: SessionDefaults): () => void {
  const list = installed();
  list.push(defaults);
  return () => {
    const index = list.indexOf(defaults);
    if (index !== -1) list.splice(index, 1);
  };
}

/** What has been installed, the last on top. */
export function processDefaults(): SessionDefaults {
  return Object.assign({}, ...installed());
}
