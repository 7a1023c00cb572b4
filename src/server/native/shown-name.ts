import type { Supervisor } from "../../application/supervisor.ts";
import type { SessionName } from "../../names.ts";
import { GLOBAL, type GlobalName, globalName } from "../../session/options/global-name.ts";
import { type GlobalSessionName, isGlobal, type WireName } from "../../wire/name.ts";

/** Turns a name of the library into that of the API. */
export type ShowName = (name: SessionName) => WireName;

/** Returns how the names of a supervisor are shown. On a node of a cluster, `["global", …]` is a global name. */
export function shownNames({ cluster }: Pick<Supervisor, "cluster">): ShowName {
  if (cluster === undefined) return (name) => name;
  return (name) => {
    if (typeof name === "string" || name[0] !== GLOBAL) return name;
    const [, first, ...rest] = name;
    if (typeof first !== "string") return name;
    return { global: rest.length === 0 ? first : [first, ...rest] };
  };
}

/** Returns a global name as the library takes it. */
export function libraryName({ global }: GlobalSessionName): GlobalName {
  return globalName(global);
}

/** Returns a name in the form in which the library lists it. */
export function listedName(name: WireName): SessionName {
  if (!isGlobal(name)) return name;
  const { global } = name;
  return [GLOBAL, ...(typeof global === "string" ? [global] : global)];
}
