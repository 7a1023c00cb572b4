/** Something in which releases differ from the pinned one, and how tests therefore fail on them. */
export interface KnownDifference {
  readonly releases: readonly string[];
  /** What differs, and what it means for users of these releases. */
  readonly differs: string;
  /** Where the names of the tests begin: a file, or a file and titles, as in `Outcome`. */
  readonly tests: string;
  /** A part of the message with which they fail. */
  readonly message: string;
  /** The only lines in which the expected and the actual value of these tests may differ. */
  readonly lines: readonly string[];
}

/** The differences that are known. test/soak/agent-sdk-releases.test.ts fails if one of them is absent, or if there is another. */
export const KNOWN_DIFFERENCES: readonly KnownDifference[] = [
  {
    releases: ["0.3.330", "0.3.331"],
    differs:
      "There is no hook `PreSkillShellCommand`. When Claude Code dies while a skill that a command has called runs its shell commands, the turn runs again, and so do they.",
    tests:
      "test/soak/skill-commands.test.ts > a shell command in the text of a skill > does not run a second time when its process dies (called by its name)",
    message: "Test timed out",
    lines: [],
  },
  {
    releases: ["0.3.330"],
    differs:
      "The handshake and the `init` message have no `sandbox_enabled`, which the fake Claude sends. Castellan does not read it.",
    tests: "test/soak/fidelity.test.ts > fakeClaude beside the real Claude Code",
    message: "to deeply equal",
    lines: ['+ "sandbox_enabled": "boolean",', '+ "sandbox_enabled",'],
  },
];
