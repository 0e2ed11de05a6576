"""Regular expressions of the manifest's texts, each with the words that an error message uses for it.

The expressions stay within what pydantic (Rust regex) and the API server (RE2) read alike.
"""

_CLASS = r"[A-Za-z_][A-Za-z0-9_]*([.][A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*"

ALGORITHM_TYPE = rf"^(MAML|FOMAML|ANIL|CAVIA|LiMAML|MetaSGD|Reptile|Joint|{_CLASS})$"
DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"
IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]*$"
IMAGE = r"^[!-~]+$"
LABEL_KEY = r"^([a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
MODEL_TYPE = rf"^(DLRM|DeepFM|DCN|WideDeep|MeLU|LiMAML|MMoE|PLE|DTN|{_CLASS})$"
OBJECT_STORE_URI = r"^(s3|gs|az)://[^/]+(/.*)?$"
POD_REASON = r"^[A-Za-z][A-Za-z0-9]*$"
QUANTITY = r"^[0-9]+([.][0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
URL = r"^https?://[^/]+(/.*)?$"

WORDS = {
    ALGORITHM_TYPE: "MAML, FOMAML, ANIL, CAVIA, LiMAML, MetaSGD, Reptile, Joint or package.module:Class",
    DNS_LABEL: "lower-case letters, digits and '-', starting and ending with a letter or digit",
    DNS_SUBDOMAIN: "lower-case letters, digits, '-' and '.', starting and ending with a letter or digit",
    IDENTIFIER: "letters, digits and '_', not starting with a digit",
    IMAGE: "an image reference: ASCII, without spaces",
    LABEL_KEY: "a Kubernetes label key, such as example.com/name",
    LABEL_VALUE: "a Kubernetes label value: letters, digits, '-', '_' and '.'",
    MODEL_TYPE: "DLRM, DeepFM, DCN, WideDeep, MeLU, LiMAML, MMoE, PLE, DTN or package.module:Class",
    OBJECT_STORE_URI: "s3://, gs:// or az:// with a bucket, such as s3://bucket/prefix",
    POD_REASON: "letters and digits, such as OOMKilled",
    QUANTITY: "a Kubernetes quantity, such as 2, 500m or 16Gi",
    URL: "an address with http:// or https://",
}
