"""Module: what it finds in itself, training and after, generators by name, how it prints."""

import json

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.errors import DTypeError, ShapeError


class Net(nn.Module):
    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.embed = nn.Embedding(6, 4, rng=rng)
        self.drop = nn.Dropout(0.5, rng=rng)
        self.layers = [nn.RNN(4, 3, rng=rng), nn.Dropout(0.2, rng=seed + 1)]
        self.heads = {"left": nn.Linear(3, 2, rng=rng), "right": nn.Linear(3, 6, rng=rng)}
        self.scale = nn.Parameter(1.0)
        self.activation = mg.tanh

    def forward(self, tokens):
        h, _ = self.layers[0](self.drop(self.embed(tokens)))
        return self.heads["right"](self.activation(self.layers[1](h))) * self.scale


def test_modules_are_found_by_name():
    net = Net()
    names = [name for name, _ in net.named_modules()]
    assert names == ["", "embed", "drop", "layers.0", "layers.1", "heads.left", "heads.right"]
    assert dict(net.named_modules())[""] is net
    assert [name for name, _ in net.named_parameters()] == [
        "embed.weight", "layers.0.weight_ih_l0", "layers.0.weight_hh_l0", "layers.0.bias_l0",
        "heads.left.weight", "heads.left.bias", "heads.right.weight", "heads.right.bias", "scale",
    ]  # fmt: skip


def test_train_and_eval_reach_everything():
    net = Net()
    assert all(m.training for _, m in net.named_modules())
    assert net.eval() is net and not any(m.training for _, m in net.named_modules())
    tokens = np.array([1, 2, 3])
    np.testing.assert_array_equal(net(tokens).data, net(tokens).data)
    assert net.train() is net and all(m.training for _, m in net.named_modules())
    assert not np.array_equal(net(tokens).data, net(tokens).data)
    assert not net.train(False).drop.training
    assert Net().training  # another net's mode is its own


def steps(net, optimizer, count, seed):
    losses, rng = [], np.random.default_rng(seed)
    for _ in range(count):
        tokens = rng.integers(0, 6, 8)
        optimizer.zero_grad()
        loss = mg.cross_entropy(net(tokens[:-1]), tokens[1:])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_a_restored_net_with_dropout_continues_identically():
    net = Net()
    optimizer = optim.Adam(net.parameters(), lr=0.05)
    steps(net, optimizer, 3, seed=1)
    checkpoint = net.state_dict(), json.loads(json.dumps(net.rng_state())), optimizer.state_dict()
    right = steps(net, optimizer, 4, seed=2)
    twin = Net(seed=7)
    other = optim.Adam(twin.parameters())
    for target, state in zip(
        (twin.load_state_dict, twin.load_rng_state, other.load_state_dict), checkpoint, strict=True
    ):
        target(state)
    assert steps(twin, other, 4, seed=2) == right
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
    twin.load_state_dict(checkpoint[0])
    other.load_state_dict(checkpoint[2])
    assert steps(twin, other, 4, seed=2) != right  # without the generators' states


def test_generators_are_no_part_of_the_weights():
    net = Net()
    assert set(net.rng_state()) == {"drop.rng", "layers.1.rng"} and not set(net.rng_state()) & set(net.state_dict())
    before = net.rng_state()
    net(np.array([1, 2]))
    assert before != net.rng_state()  # what was returned is a snapshot
    assert nn.Linear(2, 2).rng_state() == {}


def test_a_generators_state_that_does_not_fit_is_named_and_changes_nothing():
    net = Net()
    before = net.rng_state()
    state = {"drop.rng": before["drop.rng"], "elsewhere.rng": before["drop.rng"]}
    with pytest.raises(ShapeError, match=r"missing layers\.1\.rng; unexpected elsewhere\.rng"):
        net.load_rng_state(state)
    other = np.random.default_rng(9).bit_generator.state
    for bad in (np.random.MT19937(0).state, {"bit_generator": "PCG64"}, 3, {}):
        with pytest.raises(DTypeError, match=r"Net\.load_rng_state: layers\.1\.rng"):
            net.load_rng_state({"drop.rng": other, "layers.1.rng": bad})
        assert net.rng_state() == before
    net.load_rng_state({"drop.rng": other, "layers.1.rng": other})
    assert net.rng_state()["layers.1.rng"] == other


def test_weights_that_are_no_numbers_are_named():
    layer = nn.Linear(2, 1, rng=0)
    for bad in (np.array([["a", "b"]]), [[None, 1]], [[1], [1, 2]]):
        with pytest.raises(DTypeError, match=r"Linear\.load_state_dict: weight: "):
            layer.load_state_dict(layer.state_dict() | {"weight": bad})
    with pytest.raises(DTypeError, match=r"takes names and arrays, as state_dict\(\) returns them, not a Linear"):
        layer.load_state_dict(layer)


def test_a_module_prints_its_layers_and_sizes():
    assert repr(nn.Linear(3, 2)) == "Linear(weight (2, 3), bias (2,))"
    assert repr(nn.Dropout(0.25)) == "Dropout(p=0.25)" and repr(nn.MSELoss()) == "MSELoss"
    assert repr(nn.Sequential()) == "Sequential"
    assert repr(Net()).splitlines() == [
        "Net(scale ()), 81 weights",
        "  embed: Embedding(weight (6, 4))",
        "  drop: Dropout(p=0.5)",
        "  layers.0: RNN(weight_ih_l0 (3, 4), weight_hh_l0 (3, 3), bias_l0 (3,))",
        "  layers.1: Dropout(p=0.2)",
        "  heads.left: Linear(weight (2, 3), bias (2,))",
        "  heads.right: Linear(weight (6, 3), bias (6,))",
        "  activation: tanh",
    ]
    assert repr(nn.Sequential(nn.Linear(40, 100), mg.relu)).splitlines()[0] == "Sequential, 4,100 weights"


def test_forward_is_named_where_it_is_missing():
    with pytest.raises(NotImplementedError, match="Bare defines no forward"):
        type("Bare", (nn.Module,), {})()(1)
