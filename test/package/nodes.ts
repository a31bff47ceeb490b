/** The versions of Node that the package is tried on. */
export const nodes = ['20', '22', '24', '26'] as const;
