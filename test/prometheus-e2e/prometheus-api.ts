/** One series of an instant query. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [at: number, value: string];
}

/** An alert that is pending or firing. */
export interface Alert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly state: 'pending' | 'firing';
}

interface Rule {
  readonly name: string;
  readonly query: string;
  readonly health: string;
  readonly lastError?: string;
}

/** The HTTP API of a Prometheus. What it does not answer with success rejects. */
export class PrometheusApi {
  readonly #origin: string;

  constructor(origin: string) {
    this.#origin = origin;
  }

  /** An instant query. */
  async query(expression: string): Promise<Series[]> {
    const { resultType, result } = await this.#get<{ resultType: string; result: Series[] }>('query', {
      query: expression,
    });
    if (resultType !== 'vector') throw new Error(`${expression} gives a ${resultType}`);
    return result;
  }

  async rules(): Promise<Rule[]> {
    const { groups } = await this.#get<{ groups: { rules: Rule[] }[] }>('rules');
    return groups.flatMap(({ rules }) => rules);
  }

  async alerts(): Promise<Alert[]> {
    return (await this.#get<{ alerts: Alert[] }>('alerts')).alerts;
  }

  async targets(): Promise<{ health: string; lastError: string }[]> {
    return (await this.#get<{ activeTargets: { health: string; lastError: string }[] }>('targets'))
      .activeTargets;
  }

  async #get<Data>(path: string, parameters: Record<string, string> = {}): Promise<Data> {
    const url = `${this.#origin}/api/v1/${path}?${new URLSearchParams(parameters)}`;
    const response = await fetch(url);
    const answer = (await response.json()) as { status: string; error?: string; data: Data };
    if (answer.status !== 'success') throw new Error(`${url}: ${answer.error}`);
    return answer.data;
  }
}
