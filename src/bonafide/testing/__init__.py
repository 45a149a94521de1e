"""What a detector's own tests need: the contract as one callable check, and files to try it on.

It runs detectors and judges nothing else::

    from bonafide.testing import check_detector

    def test_contract():
        check_detector(my_package.my_detector)
"""

from bonafide.testing.contract import HEADINGS as HEADINGS
from bonafide.testing.contract import check_detector as check_detector
from bonafide.testing.contract import check_finding as check_finding
from bonafide.testing.contract import measure as measure
from bonafide.testing.samples import photograph as photograph
from bonafide.testing.samples import sample_files as sample_files
