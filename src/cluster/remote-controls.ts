import { defineControls, REMOTE_CONTROLS, type RemoteControl, type RemoteControls } from "../session/controls.ts";

/** Asks the node that has the session. */
type Ask = (control: RemoteControl, args: readonly unknown[]) => Promise<unknown>;

class AskedControls {
  readonly #ask: Ask;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  static {
    defineControls(
      AskedControls.prototype,
      REMOTE_CONTROLS,
      // What answers nothing comes back as `null`.
      async (session, control, args) => (await session.#ask(control, args)) ?? undefined,
    );
  }
}

const base: new (ask: Ask) => object = AskedControls;

/** Has a method for each control that a session on another node can be asked. */
export const RemoteSessionControls: new (ask: Ask) => RemoteControls = base as new (ask: Ask) => RemoteControls;
