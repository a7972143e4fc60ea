"""The scalar implementation behind the golden values, as a package like any other."""

import scalar


def listed(image):
    return image.tolist() if hasattr(image, "tolist") else image


def of(name):
    def index(*images, **arguments):
        arguments = {key: listed(value) for key, value in arguments.items()}
        return scalar.evaluate(name, [listed(image) for image in images], arguments)

    return index


INDICES = {name: of(name) for name in scalar.INDICES}
