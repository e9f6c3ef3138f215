import { cardLabel, IApp, portProblem, problemText, progressOf, readPort } from '../src/apps';

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
  restarts: 0,
  problem: null,
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

test('why an app does not run is told with the last line that it has printed', () => {
  const text = (code: string, detail = '', printed = '') =>
    problemText(app({ state: 'failed', problem: { code, detail, printed } }), trans);
  expect(text('ended', '', 'no licence')).toBe('It has ended. no licence');
  expect(text('no_port', '90')).toBe('It has not opened its port in 90 s.');
  expect(text('port_taken', '5000')).toBe('Port 5000 is used by another program.');
  expect(text('cannot_start', 'No such file')).toBe('It cannot be started: No such file.');
  expect(problemText(app({}), trans)).toBe('');
});
