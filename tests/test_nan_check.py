"""detect_anomaly: the first NaN is named with its operation and the line that called it."""

import contextlib
import inspect
import threading
import traceback

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, Value, detect_anomaly, grad, no_grad, op, ops
from minigrad.errors import GraphError, NonFiniteError
from minigrad.nn import RNN
from minigrad.op import mode, registry

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def here(offset=0):
    """This file and the line of the call, as the errors write them."""
    frame = inspect.currentframe().f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno + offset}"


def leaf(*entries):
    return Tensor(np.array(entries), requires_grad=True)


@pytest.fixture
def declare():
    before = dict(registry)
    yield op
    registry.clear()
    registry.update(before)


def message(call):
    with pytest.raises(NonFiniteError) as error:
        call()
    return str(error.value)


def test_off_nothing_is_checked_and_on_the_numbers_are_the_same():
    x = leaf(-1.0, 2.0)
    assert np.isnan(ops.log(x).data[0])
    y = (ops.tanh(x) * x[0]).sum()
    with detect_anomaly():
        watched = (ops.tanh(x) * x[0]).sum()
        watched.backward(retain_graph=True)
    found, x.grad = x.grad, None
    y.backward()
    np.testing.assert_array_equal(found, x.grad)
    second = [grad(grad(z, x, create_graph=True).sum(), x).data for z in ((x * x[0]).sum(),)]
    with detect_anomaly():
        z = (x * x[0]).sum()
        np.testing.assert_array_equal(grad(grad(z, x, create_graph=True).sum(), x).data, second[0])


def test_a_forward_nan_names_operation_shapes_and_line():
    x = leaf(-1.0, 2.0)
    with detect_anomaly(), pytest.raises(NonFiniteError) as error:
        ops.log(x * np.ones((3, 1))).sum()
    place = here(-1)
    assert str(error.value) == f"log of shapes (3, 2): the result holds a NaN; {place}"


def test_an_operand_that_brought_the_nan_is_named():
    with detect_anomaly():
        text = message(lambda: leaf(1.0, 2.0) * np.array([1.0, np.nan]))
    assert text.startswith("mul of shapes (2,), (2,): the result holds a NaN; operand 1 already did; ")


def test_constants_and_no_grad_are_checked_too():
    with detect_anomaly():
        assert "log of" in message(lambda: ops.log(Tensor([-1.0])))
        with no_grad():
            assert "log of" in message(lambda: ops.log(leaf(-1.0)))
            assert (leaf(1.0) * 2).record is None
        assert (leaf(1.0) * 2).requires_grad
        with detect_anomaly():
            pass
        assert "log of" in message(lambda: ops.log(leaf(-1.0)))
    with no_grad(), detect_anomaly():
        assert not (leaf(1.0) * 2).requires_grad
    ops.log(leaf(-1.0))
    assert mode.recording is True and mode.watch is None
    with pytest.raises(ZeroDivisionError), detect_anomaly():
        1 / 0  # noqa: B018
    assert mode.recording is True and mode.watch is None


def test_values_and_several_outputs():
    with detect_anomaly():
        x = Value(np.inf)
        assert "sub of shapes (), (): the result holds a NaN" in message(lambda: x - x)
        assert (x > 1) is True
        assert "unstack" in message(lambda: list(leaf(1.0, np.nan)))
        assert not np.isnan(next(iter(leaf(1.0, 2.0))).data)
        assert np.array_equal((leaf(1.0) > 0).data, [True]) and Tensor([1, 2])[0].item() == 1


def test_infinities_pass_unless_asked_for():
    masked = lambda: ops.softmax(leaf(0.0, 1.0) + np.array([0.0, -np.inf]))
    with detect_anomaly():
        assert masked().data.tolist() == [1, 0]
        with detect_anomaly(infinite=True):
            assert "add of shapes (2,), (2,): the result holds a NaN or an infinity; operand 1 already" in message(
                masked
            )
        assert "infinity" not in message(lambda: ops.log(leaf(-1.0)))


def test_a_backward_nan_names_the_forward_line():
    x = leaf(0.0, 4.0)
    with detect_anomaly():
        y = (ops.sqrt(x) * 0.0).sum()
        place = here(-1)
    # outside the block: the nodes made inside remember
    assert (
        message(y.backward)
        == f"backward of sqrt of shapes (2,): the part of operand 0 holds a NaN; the forward call: {place}"
    )
    assert x.grad is None


def test_the_operand_and_the_cotangent_are_told_apart(declare):
    @declare(lambda g, y, a, b: g, lambda g, y, a, b: g * np.nan)
    def broken(a, b):
        return a + b

    with detect_anomaly():
        assert "broken of shapes (1,), (1,): the part of operand 1 holds a NaN; the f" in message(
            broken(leaf(1.0), leaf(2.0)).sum().backward
        )
        assert "the part of operand 1" in message(broken(Tensor([1.0]), leaf(2.0)).sum().backward)  # the only part
        broken(leaf(1.0), Tensor([2.0])).sum().backward()
        y = leaf(1.0) * 2
        assert "a NaN; the cotangent of the result already did; " in message(lambda: y.backward(np.array([np.nan])))


def test_parts_of_a_cotangent_and_higher_derivatives_are_checked():
    x = leaf(0.0, 4.0)
    with detect_anomaly():
        root = ops.sqrt(x)
        place = here(-1)
        with pytest.raises(NonFiniteError, match="div of shapes") as error:  # within the rule, a product of nodes
            grad((root * 0.0).sum(), x, create_graph=True)
        assert error.value.__notes__ == [f"backward of sqrt of shapes (2,); the forward call: {place}"]
        text = message(lambda: grad(x + 1, x, seed=np.array([0.0, np.nan]), create_graph=True))  # a part that is a node
        assert text.startswith("backward of add") and "the cotangent of the result already did" in text
        y, (first, _) = x[0], x
        for read, name in ((y, "getitem"), (first, "unstack")):
            assert f"backward of {name} of shapes (2,)" in message(lambda read=read: read.backward(np.array(np.nan)))


def test_the_line_of_a_layer_is_that_of_its_user():
    rnn = RNN(2, 3, rng=0)
    rnn.bias_l0.data = np.full(3, np.nan, "float32")
    x = np.ones((4, 2), "float32")
    with detect_anomaly(), pytest.raises(NonFiniteError) as error:
        rnn(x)
    assert str(error.value).endswith(here(-1)) and "minigrad/recurrent" not in str(error.value)


def test_other_errors_on_the_way_back_carry_the_forward_line():
    x = leaf(1.0)
    with detect_anomaly():
        y = x * x
        place = here(-1)
    x.data = x.data + 1
    with pytest.raises(GraphError, match="replaced") as error:
        grad(y, x, create_graph=True)
    assert error.value.__notes__ == [f"backward of mul of shapes (1,), (1,); the forward call: {place}"]
    assert place in "".join(traceback.format_exception(error.value))


def test_it_holds_for_its_own_thread_and_as_a_decorator():
    seen = []

    def other():
        seen.append(np.isnan(ops.log(leaf(-1.0)).data[0]))

    with detect_anomaly():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert seen == [True]

    @mg.detect_anomaly()
    def decorated():
        return ops.log(leaf(-1.0))

    assert "log" in message(decorated)


def test_training_in_the_block_reaches_the_same_weights():
    def train(context):
        net = RNN(2, 3, rng=0)
        optimizer = mg.optim.Adam(net.parameters(), lr=0.1)
        with context:
            for _ in range(3):
                optimizer.zero_grad()
                (net(np.ones((4, 2), "float32"))[0] ** 2).mean().backward()
                optimizer.step()
        return net.state_dict()

    plain, watched = train(contextlib.nullcontext()), train(detect_anomaly(infinite=True))
    for name, x in plain.items():
        np.testing.assert_array_equal(x, watched[name])


def test_a_fused_operation_with_an_operand_that_gets_nothing():
    @op(joint=lambda gs, outputs, saved, operands, needs: (2 * gs[0], 0 * gs[0]), reference=lambda x, w: 2 * x)
    def fused_double(x, w):
        return 2 * x, None

    del registry["fused_double"]
    w, x = (Tensor(np.ones(3), requires_grad=True) for _ in range(2))
    with detect_anomaly():
        dx, dw = grad(fused_double(x, w).sum(), (x, w), create_graph=True)
    assert (dx.data == 2).all()
    assert dw is None
