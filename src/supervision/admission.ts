import type { ErrorCode } from "../errors.ts";
import type { ChildInfo } from "./child-info.ts";

/** A call about one child that its standing may forbid. */
export type Call = "start" | "restart" | "delete" | "recycle";

/** How a child stands toward calls, once it is not being stopped for good. */
export type Standing = ChildInfo["state"];

/** `go`: do it. `join`: the child is on its way up, wait for that. Else the code of the error. */
export type Admission =
  | "go"
  | "join"
  | Extract<ErrorCode, "CHILD_ALREADY_STARTED" | "CHILD_ALREADY_PRESENT" | "CHILD_RUNNING" | "CHILD_RESTARTING">;

const whileItRests = {
  running: "CHILD_RUNNING",
  starting: "CHILD_RUNNING",
  restarting: "CHILD_RESTARTING",
  quarantined: "go",
  terminated: "go",
} as const;

const table: Record<Call, Record<Standing, Admission>> = {
  start: {
    running: "CHILD_ALREADY_STARTED",
    starting: "CHILD_ALREADY_STARTED",
    restarting: "CHILD_ALREADY_PRESENT",
    quarantined: "CHILD_ALREADY_PRESENT",
    terminated: "CHILD_ALREADY_PRESENT",
  },
  restart: whileItRests,
  delete: whileItRests,
  recycle: {
    running: "go",
    starting: "join",
    restarting: "join",
    quarantined: "go",
    terminated: "go",
  },
};

/** What a call about a child meets, `start` being the start of a second child with the same id. */
export function admit(call: Call, standing: Standing): Admission {
  return table[call][standing];
}
