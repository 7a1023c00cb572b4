import type { HookCallbackMatcher, HookEvent, Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";

/**
 * Counts the application's callbacks that Claude Code waits for: permissions, hooks, dialogs. While one is pending, a
 * silent process is no sign of a stall.
 */
export class HostCalls {
  #pending = 0;

  get pending(): number {
    return this.#pending;
  }

  /** Returns the options with counted callbacks. */
  watch(options: SdkOptions): SdkOptions {
    const { canUseTool, hooks, onElicitation, onUserDialog } = options;
    return {
      ...options,
      ...(canUseTool === undefined ? {} : { canUseTool: this.#counted(canUseTool) }),
      ...(onElicitation === undefined ? {} : { onElicitation: this.#counted(onElicitation) }),
      ...(onUserDialog === undefined ? {} : { onUserDialog: this.#counted(onUserDialog) }),
      ...(hooks === undefined ? {} : { hooks: this.#countedHooks(hooks) }),
    };
  }

  #countedHooks(hooks: Partial<Record<HookEvent, HookCallbackMatcher[]>>): NonNullable<SdkOptions["hooks"]> {
    return Object.fromEntries(
      Object.entries(hooks).map(([event, matchers]) => [
        event,
        matchers.map((matcher) => ({ ...matcher, hooks: matcher.hooks.map((hook) => this.#counted(hook)) })),
      ]),
    );
  }

  #counted<Parameters extends readonly unknown[], Answer>(
    call: (...parameters: Parameters) => Promise<Answer>,
  ): (...parameters: Parameters) => Promise<Answer> {
    return async (...parameters) => {
      this.#pending++;
      try {
        return await call(...parameters);
      } finally {
        this.#pending--;
      }
    };
  }
}
