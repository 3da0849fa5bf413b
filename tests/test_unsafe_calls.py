import pytest

from unsafe_calls import unsafe

SAFE = [
    "torch.load(f, weights_only=True)",
    "np.load(f, allow_pickle=False)",
    "yaml.safe_load(text)",
    "subprocess.run(['ls'])",
    "subprocess.run(['ls'], shell=False)",
]
UNSAFE = [
    "import pickle",
    "from pickle import loads",
    "pickle.loads(b)",
    "torch.load(f)",
    "torch.load(f, weights_only=False)",
    "torch.load(f, weights_only=flag)",
    "np.load(f)",
    "np.load(f, allow_pickle=True)",
    "yaml.load(text)",
    "yaml.load(text, Loader=yaml.Loader)",
    "eval(text)",
    "exec(text)",
    "os.system('ls')",
    "subprocess.run('ls', shell=True)",
    "zipfile.ZipFile(f).extractall(d)",
    "tarfile.open(f).extract(m)",
]


@pytest.mark.parametrize("line", SAFE)
def test_the_gate_lets_safe_calls_through(line):
    assert list(unsafe(line)) == []


@pytest.mark.parametrize("line", UNSAFE)
def test_the_gate_finds_every_planted_unsafe_call(line):
    assert list(unsafe(line))
