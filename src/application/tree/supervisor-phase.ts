import { CastellanError } from "../../errors.ts";
import type { SupervisorEnd } from "./supervisor-reports.ts";

/** The phase of a supervisor. It only advances. */
export class SupervisorPhase {
  /** The name of the supervisor. */
  readonly #supervisor: string;
  #now: "running" | "draining" | "stopping" | "ended" = "running";
  #end: SupervisorEnd | undefined;

  constructor(supervisor: string) {
    this.#supervisor = supervisor;
  }

  get now(): "running" | "draining" | "stopping" | "ended" {
    return this.#now;
  }

  /** Why it ended, once it has. */
  get end(): SupervisorEnd | undefined {
    return this.#end;
  }

  get isStopping(): boolean {
    return this.#now === "stopping" || this.#now === "ended";
  }

  drain(): void {
    if (this.#now === "running") this.#now = "draining";
  }

  stop(): void {
    if (this.#now !== "ended") this.#now = "stopping";
  }

  finish(end: SupervisorEnd): void {
    this.#now = "ended";
    this.#end = end;
  }

  /** @throws CastellanError `SUPERVISOR_STOPPED` */
  refuseIfStopped(): void {
    if (this.isStopping) throw this.stoppedError();
  }

  /** @throws CastellanError `SUPERVISOR_STOPPED`, also while the supervisor drains */
  refuseIfEnding(): void {
    this.refuseIfStopped();
    if (this.#now === "running") return;
    const message = `${this.#supervisor} is draining; its children can no longer change.`;
    throw new CastellanError("SUPERVISOR_STOPPED", message);
  }

  /** Returns the error of a call to a stopped supervisor. */
  stoppedError(): CastellanError<"SUPERVISOR_STOPPED"> {
    const message = `${this.#supervisor} has been stopped; start another supervisor.`;
    return new CastellanError("SUPERVISOR_STOPPED", message);
  }
}
