/** Returns a key as a Map keeps it: it has -0 as 0, and whoever is called is told the key that is in the map. */
export const mapKey = <K>(key: K): K => (key === 0 ? (0 as K) : key);
