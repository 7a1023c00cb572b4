import type { PermissionMode, Query, Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";

/** What a process receives besides the options of its session. Rules are written as in options: `Bash(npm test:*)`. */
export interface StandingPermissions {
  /** The permission mode, and for plan mode the mode to which an approved plan returns. */
  readonly mode?: { readonly now: PermissionMode; readonly back?: PermissionMode | undefined } | undefined;
  readonly allow: readonly string[];
  readonly deny: readonly string[];
  readonly ask: readonly string[];
  /** Directories besides the working directory and the options' directories. */
  readonly directories: readonly string[];
}

/**
 * Returns the mode to start a process in. Claude Code only knows which mode to return to from plan mode if it was in
 * that mode before; so the process starts there, and `giveStanding` makes it enter plan mode before it does anything.
 */
export function startingMode(
  options: SdkOptions,
  { mode }: Pick<StandingPermissions, "mode">,
): PermissionMode | undefined {
  if (mode === undefined || !mayBe(mode.now, options)) return options.permissionMode;
  return mode.back !== undefined && mayBe(mode.back, options) ? mode.back : mode.now;
}

/**
 * Gives a process its standing permissions. Call it directly after the start: Claude Code handles requests in order, so
 * nothing comes between the handshake and these, not even a turn of its own.
 */
export async function giveStanding(sdk: Query, options: SdkOptions, standing: StandingPermissions): Promise<void> {
  const { mode, allow, deny, ask, directories } = standing;
  const requests: Promise<unknown>[] = [];
  if ([allow, deny, ask, directories].some(({ length }) => length > 0)) requests.push(applyStanding(sdk, standing));
  if (mode !== undefined && mayBe(mode.now, options) && startingMode(options, standing) !== mode.now) {
    requests.push(enter(sdk, mode.now));
  }
  await Promise.all(requests);
}

/** A process may answer with a mode other than the requested one. */
async function enter(sdk: Query, mode: PermissionMode): Promise<void> {
  const { mode: now = mode } = (await sdk.setPermissionMode(mode)) ?? {};
  if (now !== mode) throw new Error(`it is in the permission mode ${now} although ${mode} was requested`);
}

/** Replaces the rules and directories that a process received before. */
export async function applyStanding(sdk: Query, standing: StandingPermissions): Promise<void> {
  const { allow, deny, ask, directories } = standing;
  const permissions = { allow: [...allow], deny: [...deny], ask: [...ask], additionalDirectories: [...directories] };
  await sdk.applyFlagSettings({ permissions });
}

/** Claude Code does not start in this mode without an option that allows it. */
function mayBe(mode: PermissionMode, { allowDangerouslySkipPermissions }: SdkOptions): boolean {
  return mode !== "bypassPermissions" || allowDangerouslySkipPermissions === true;
}
