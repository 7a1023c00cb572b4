import { CONTROLS, isRemoteControl, REMOTE_CONTROLS, type RemoteControl } from "../../session/controls.ts";

/** Methods that a session's host answers, besides the session's controls. */
export type HostMethod =
  | "status"
  | "inspect"
  | "approvals"
  | "approve"
  | "deny"
  | "content"
  | "answer"
  | "steer"
  | "enqueueLater"
  | "schedules"
  | "cancelSchedule"
  | "conversations"
  | "erase"
  | "export"
  | "fork";

/** Methods of the jobs of a pool. Each node that has the pool answers them from the database. */
export type PoolMethod = "enqueueJob" | "findJob" | "cancelJob" | "jobs";

/**
 * Methods that a node answers itself. `begin` lets a pool's turn begin, and answers whether it may. `eraseFiles` works on
 * a former owner too. `activities` tells what all sessions of the node do. `release` may be limited to idle sessions.
 */
export type NodeMethod = "activities" | "begin" | "cancel" | "release" | "eraseFiles";

/** Methods that nodes call on each other's sessions. */
export type CallMethod = RemoteControl | HostMethod | PoolMethod | NodeMethod;

/**
 * Whether a retry is unsafe when the first call may have taken effect. Controls define that themselves, see `CONTROLS`.
 */
const ONCE: Readonly<Record<HostMethod | PoolMethod | NodeMethod, boolean>> = {
  status: false,
  inspect: false,
  approvals: false,
  approve: true,
  answer: true,
  steer: true,
  // Its caller gives it a key.
  enqueueLater: false,
  schedules: false,
  // Only its answer differs the second time.
  cancelSchedule: false,
  deny: true,
  content: false,
  conversations: false,
  erase: true,
  export: true,
  fork: true,
  // Its caller gives it a key.
  enqueueJob: false,
  findJob: false,
  cancelJob: false,
  jobs: false,
  activities: false,
  begin: true,
  cancel: false,
  release: false,
  eraseFiles: false,
};

const OWN_METHODS = Object.keys(ONCE) as readonly (HostMethod | PoolMethod | NodeMethod)[];

export const CALL_METHODS: readonly CallMethod[] = [...OWN_METHODS, ...REMOTE_CONTROLS];

/** The methods of {@link PoolMethod}. */
export function isPoolMethod(method: string): method is PoolMethod {
  return method === "enqueueJob" || method === "findJob" || method === "cancelJob" || method === "jobs";
}

/** Whether this release knows the method. */
export function isCallMethod(method: string): method is CallMethod {
  return CALL_METHODS.some((known) => known === method);
}

/** Whether a second call would have another effect than the first. */
export function isOnce(method: CallMethod): boolean {
  return isRemoteControl(method) ? CONTROLS[method].once : ONCE[method];
}
