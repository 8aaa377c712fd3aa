/** Why something cannot be set up as it was asked for; it says what to do instead, one line for each reason. */
export class Unsuitable extends Error {}
