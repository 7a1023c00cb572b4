/** The phase of a node. `lost`: it was declared dead, or had to assume so, and rejoins as another run. */
export type NodePhase = "joining" | "member" | "lost" | "draining" | "left";

/** An event in the life of a node. */
export type NodePhaseEvent = "joined" | "lost" | "drain" | "left";

/** Returns the phase after `event`. An event that does not apply leaves the phase unchanged. */
export function nextNodePhase(phase: NodePhase, event: NodePhaseEvent): NodePhase {
  switch (event) {
    case "joined":
      return phase === "joining" || phase === "lost" ? "member" : phase;
    case "lost":
      return phase === "member" ? "lost" : phase;
    case "drain":
      return phase === "left" ? phase : "draining";
    case "left":
      return "left";
  }
}
