import type { PermissionMode, Query, Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";

/** What a process is to be given besides the options of its session. Rules are written as in the options: `Bash(npm test:*)`. */
export interface StandingPermissions {
  /** The mode that it is to be in, and, if that is plan mode, the one that an approved plan leads back to. */
  readonly mode?: { readonly now: PermissionMode; readonly back?: PermissionMode | undefined } | undefined;
  readonly allow: readonly string[];
  readonly deny: readonly string[];
  readonly ask: readonly string[];
  /** Directories besides the working directory and those of the options. */
  readonly directories: readonly string[];
}

/**
 * The mode that a process is started in. Claude Code goes from plan mode back to the mode in which it was when it entered it, and knows
 * that only if it was in that one; so the process begins there, and `giveStanding` has it enter plan mode before it does anything.
 */
export function startingMode(
  options: SdkOptions,
  { mode }: Pick<StandingPermissions, "mode">,
): PermissionMode | undefined {
  if (mode === undefined || !mayBe(mode.now, options)) return options.permissionMode;
  return mode.back !== undefined && mayBe(mode.back, options) ? mode.back : mode.now;
}

/**
 * Gives a process what it is to be given. To be called at once after its start: Claude Code takes requests one after the other, so that
 * nothing comes between the handshake and these, not even a turn that it begins by itself.
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

/** A process may answer that it is in another mode than was asked for. */
async function enter(sdk: Query, mode: PermissionMode): Promise<void> {
  const { mode: now = mode } = (await sdk.setPermissionMode(mode)) ?? {};
  if (now !== mode) throw new Error(`it is in the permission mode ${now} where ${mode} was asked for`);
}

/** Has a process hold these rules and directories, in the place of those that it was given before. */
export async function applyStanding(sdk: Query, standing: StandingPermissions): Promise<void> {
  const { allow, deny, ask, directories } = standing;
  const permissions = { allow: [...allow], deny: [...deny], ask: [...ask], additionalDirectories: [...directories] };
  await sdk.applyFlagSettings({ permissions });
}

/** Claude Code does not start in this mode without leave. */
function mayBe(mode: PermissionMode, { allowDangerouslySkipPermissions }: SdkOptions): boolean {
  return mode !== "bypassPermissions" || allowDangerouslySkipPermissions === true;
}
