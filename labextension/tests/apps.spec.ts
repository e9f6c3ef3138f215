import { cardLabel, IApp, portProblem, progressOf, readPort } from '../src/apps';

jest.mock('@jupyterlab/coreutils', () => ({}), { virtual: true });
jest.mock('@jupyterlab/services', () => ({}), { virtual: true });

const trans = {
  __: (text: string, ...values: any[]) =>
    text.replace(/%(\d)/g, (_, n) => String(values[Number(n) - 1]))
};

const app = (values: Partial<IApp>): IApp => ({
  name: 'mlflow',
  title: 'MLflow UI',
  icon: '',
  state: 'stopped',
  seconds: 0,
  expected_s: 20,
  message: '',
  url: '/mlflow/',
  ...values
});

test('a card says what its app does', () => {
  const label = (values: Partial<IApp>) => cardLabel(app(values), trans);
  expect(label({})).toBe('MLflow UI');
  expect(label({ state: 'starting', seconds: 3.4 })).toBe('MLflow UI: starting (3 s)');
  expect(label({ state: 'ready' })).toBe('MLflow UI: ready');
  expect(label({ state: 'failed' })).toBe('MLflow UI: failed');
});

test('a start is never done before it is', () => {
  expect(progressOf(app({ seconds: 5 }))).toBe(0.25);
  expect(progressOf(app({ seconds: 500 }))).toBe(0.95);
  expect(progressOf(app({ expected_s: 0 }))).toBe(0);
});

test('only ports are ports', () => {
  expect(['8080', ' 1 ', '65535'].map(readPort)).toEqual([8080, 1, 65535]);
  expect(['', '0', '65536', '-1', '80a', '8.5', '1e3', '99999'].map(readPort)).toEqual(
    Array(8).fill(null)
  );
});

test('what no page can be opened of says why', () => {
  expect(portProblem(80, 'http', trans)).toBe('');
  expect(portProblem(80, 'closed', trans)).toContain('Nothing listens on port 80');
  expect(portProblem(80, 'silent', trans)).toContain('does not answer as a web server');
});
