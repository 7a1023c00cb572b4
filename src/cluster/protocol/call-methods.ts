import { CONTROLS, isRemoteControl, REMOTE_CONTROLS, type RemoteControl } from "../../session/controls.ts";

/** What the host of a session answers besides the controls of the session. */
export type HostMethod = "status" | "inspect" | "approvals" | "approve" | "deny" | "conversations" | "erase" | "export";

/** What a node answers itself; `eraseFiles` also where it does not have the session: it may have had it. */
export type NodeMethod = "cancel" | "release" | "eraseFiles";

/** What nodes ask each other about a session besides its turns. */
export type CallMethod = RemoteControl | HostMethod | NodeMethod;

/** Whether it must not be asked again when nobody knows whether it was done. Controls say that themselves, see `CONTROLS`. */
const ONCE: Readonly<Record<HostMethod | NodeMethod, boolean>> = {
  status: false,
  inspect: false,
  approvals: false,
  approve: true,
  deny: true,
  conversations: false,
  erase: true,
  export: true,
  cancel: false,
  release: false,
  eraseFiles: false,
};

const OWN_METHODS = Object.keys(ONCE) as readonly (HostMethod | NodeMethod)[];

export const CALL_METHODS: readonly CallMethod[] = [...OWN_METHODS, ...REMOTE_CONTROLS];

/** Whether this release knows a method of this name. */
export function isCallMethod(method: string): method is CallMethod {
  return CALL_METHODS.some((known) => known === method);
}

/** Whether the second time it would do something else than the first. */
export function isOnce(method: CallMethod): boolean {
  return isRemoteControl(method) ? CONTROLS[method].once : ONCE[method];
}
