/** Gives back the very object that it is given, so that the fields of a class that extends it are added to that object. */
class Given {
  constructor(target: object) {
    // biome-ignore lint/correctness/noConstructorReturn: this is what it is for
    return target;
  }
}

/** A field that objects of other classes have: nobody sees it, and what inherits from such an object has none. */
export interface HiddenField<Value> {
  /** Returns what an object has there; `undefined` if it has none, or is no object. */
  of(target: unknown): Value | undefined;
  put(target: object, value: Value | undefined): void;
}

/**
 * Makes a field that any object can be given. It costs what a property does, where a WeakMap would cost a search.
 *
 * A class adds its private fields to whatever the constructor of its parent returns, as `class` is specified.
 */
export function hiddenField<Value>(): HiddenField<Value> {
  return class Field extends Given {
    #value: Value | undefined;

    static of(target: unknown): Value | undefined {
      return typeof target === 'object' && target !== null && #value in target ? target.#value : undefined;
    }

    static put(target: object, value: Value | undefined): void {
      const field = #value in target ? target : (new Field(target) as Field);
      field.#value = value;
    }
  };
}
