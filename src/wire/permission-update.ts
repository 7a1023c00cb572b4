import { z } from "zod";

/** Where a permission update is kept. */
export type PermissionDestination = "userSettings" | "projectSettings" | "localSettings" | "session" | "cliArg";

/** A rule for a tool. */
export interface PermissionRule {
  readonly toolName: string;
  readonly ruleContent?: string | undefined;
}

/** A change of what a session may do, as in the Agent SDK. */
export type PermissionUpdate =
  | {
      readonly type: "addRules" | "replaceRules" | "removeRules";
      readonly rules: readonly PermissionRule[];
      readonly behavior: "allow" | "deny" | "ask";
      readonly destination: PermissionDestination;
    }
  | {
      readonly type: "setMode";
      readonly mode: "default" | "acceptEdits" | "bypassPermissions" | "plan" | "dontAsk" | "auto";
      readonly destination: PermissionDestination;
    }
  | {
      readonly type: "addDirectories" | "removeDirectories";
      readonly directories: readonly string[];
      readonly destination: PermissionDestination;
    };

const destination = z.enum(["userSettings", "projectSettings", "localSettings", "session", "cliArg"]);

export const permissionUpdateSchema: z.ZodType<PermissionUpdate> = z
  .discriminatedUnion("type", [
    z.object({
      type: z.enum(["addRules", "replaceRules", "removeRules"]),
      rules: z.array(z.object({ toolName: z.string(), ruleContent: z.string().optional() })).readonly(),
      behavior: z.enum(["allow", "deny", "ask"]),
      destination,
    }),
    z.object({
      type: z.literal("setMode"),
      mode: z.enum(["default", "acceptEdits", "bypassPermissions", "plan", "dontAsk", "auto"]),
      destination,
    }),
    z.object({
      type: z.enum(["addDirectories", "removeDirectories"]),
      directories: z.array(z.string()).readonly(),
      destination,
    }),
  ])
  .meta({ id: "PermissionUpdate", description: "A change of what a session may do, as in the Agent SDK." });
